"""usage: workspace_figures.py FILE    puts what scripts/bench has measured of workspaces and flows into server/OPERATIONS.md

FILE is what scripts/bench has written; it must hold both sections on both engines, whole and without a failure. Nothing of the
table is typed by hand.
"""

import json
import re
import sys
from pathlib import Path

GUIDE = Path(__file__).resolve().parents[2] / "server/OPERATIONS.md"
ENGINES = ["SQLite", "PostgreSQL"]


def short(value: float | None) -> str:
    """Three figures that carry meaning, as scripts/bench prints them."""
    if value is None:
        return "–"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}" if value else "0"


def rows_of(run: dict, section: str) -> list[dict[str, dict]]:
    """The rows of a section by their names, engine by engine."""
    return [{row["figure"]: row for row in run["sections"][f"{section} on {engine}"]["rows"]} for engine in ENGINES]


def table(run: dict) -> str:
    workspace, flows = rows_of(run, "workspace"), rows_of(run, "flows")
    lines = [
        f"| Asked | {' | '.join(f'{engine}: p50 · p99 ms | bare query: p50 · p99 ms' for engine in ENGINES)} |",
        "|---|" + "---|" * 2 * len(ENGINES),
    ]
    for figure in workspace[0]:
        question, end, _ = figure.partition(": p50 ms")
        if end:
            cells = []
            for rows in workspace:
                pair = [rows[f"{question}: {share} ms"] for share in ("p50", "p99")]
                cells += [" · ".join(short(row[side]) for row in pair) for side in ("ours", "base")]
            lines.append(f"| {question} | {' | '.join(cells)} |")
    lines += ["", f"| Beside | {' | '.join(ENGINES)} |", "|---|" + "---|" * len(ENGINES)]
    beside = [(name, workspace) for name in workspace[0] if " ms" not in name] + [(name, flows) for name in flows[0]]
    for name, section in beside:
        label = f"flows: {name}" if section is flows else name
        lines.append(f"| {label} | {' | '.join(short(rows[name]['ours']) for rows in section)} |")
    notes = [run["machine"]]
    for section in ("workspace", "flows"):
        notes += run["sections"][f"{section} on {ENGINES[0]}"]["notes"]
    return "\n".join([*lines, "", *[f"- {note}" for note in notes]])


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    run = json.loads(Path(sys.argv[1]).read_text())
    wanted = {f"{section} on {engine}" for section in ("workspace", "flows") for engine in ENGINES}
    whole = all(run["sections"].get(name, {}).get("rows") for name in wanted)
    if not whole or run["quick"] or run["against_itself"] or run["failures"]:
        raise SystemExit(f"{sys.argv[1]} holds no whole run without a failure: scripts/bench workspace flows")
    text = GUIDE.read_text()
    place = re.compile(r"(<!-- workspace:begin -->\n).*?(<!-- workspace:end -->)", re.S)
    if not place.search(text):
        raise SystemExit(f"{GUIDE.name} has no place for the figures of workspaces")
    GUIDE.write_text(place.sub(lambda found: f"{found[1]}{table(run)}\n{found[2]}", text))


main()
