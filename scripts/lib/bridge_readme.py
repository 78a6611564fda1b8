"""usage: bridge_readme.py crates [--write] | sizes [--check] ROW... | figures FILE    the tables of bridge/README.md that are made

Nothing in them is typed by hand.

crates: every crate that the bridge names, with its reason. Without --write it fails where the README says otherwise.
sizes: each ROW is "features=bytes"; writes the table, or with --check fails where the table is far from it.
figures: FILE is what scripts/bench has written; puts the bridge's section of it into the README.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "bridge/README.md"

# What any program of this kind is made of. Every other reason stands above its line in bridge/Cargo.toml.
GIVEN = {
    "footbridge-protocol": "The wire, shared with the server: JSON-RPC, headers, events. No input or output of its own.",
    "bytes": "Buffers that are cut without being copied.",
    "http-body-util": "hyper's bodies, for HTTP/2.",
    "hyper": "The words of HTTP (methods, statuses, headers), and its client for HTTP/2. HTTP/1.1, pool and redirects are ours: a call goes straight through and is never sent twice.",
    "hyper-util": "Ties hyper to tokio; one adapter of it is in the program, for HTTP/2.",
    "serde_json": "Reads what has to be understood of a message; the rest passes as it is.",
    "thiserror": "Errors, at compile time only.",
    "tokio": "One thread that waits for pipes, sockets, signals and the clock.",
    "rustls": "TLS 1.2 and 1.3 with ring; no OpenSSL.",
    "tokio-rustls": "rustls on tokio's sockets.",
    "webpki-roots": "The public authorities, built in: a start reads no file.",
}


def reasons() -> dict[str, str]:
    """Crate → the comment above its line; a line without one shares the comment of the line before it."""
    found, comment, table = dict(GIVEN), "", ""
    previous_is_comment = False
    for line in (ROOT / "bridge/Cargo.toml").read_text().splitlines():
        if line.startswith("["):
            table, comment = line, ""
        elif line.startswith("#"):
            text = line.lstrip("# ")
            comment = f"{comment} {text}" if previous_is_comment else text
        elif line and "dependencies]" in table and "dev-" not in table and "build-" not in table:
            crate = re.split(r"[. =]", line, maxsplit=1)[0]
            if comment:
                found.setdefault(crate, comment)
            if crate in GIVEN:
                comment = ""
        else:
            comment = ""
        previous_is_comment = line.startswith("#")
    return found


def crates() -> str:
    """Those of every platform, because the table is the same on every machine."""
    tree = subprocess.run(
        ["cargo", "tree", "--locked", "--package", "footbridge", "--edges", "normal", "--depth", "1", "--target", "all"]
        + ["--all-features", "--prefix", "depth", "--format", " {p}"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    known = reasons()
    optional = {
        name
        for name, value in tomllib.loads((ROOT / "bridge/Cargo.toml").read_text())["dependencies"].items()
        if isinstance(value, dict) and value.get("optional")
    }
    rows = ["| Crate | Why |", "|---|---|"]
    for line in sorted(set(tree.splitlines()[1:])):
        crate = line.split()[1]
        if crate not in known:
            raise SystemExit(f"bridge/Cargo.toml gives no reason for `{crate}`: write it as a comment above its line")
        note = " (only with a feature that needs it)" if crate in optional else ""
        rows.append(f"| `{crate}` | {known[crate]}{note} |")
    return "\n".join(rows)


def between(text: str, mark: str, table: str) -> str:
    pattern = re.compile(rf"(<!-- {mark}:begin -->\n).*?(<!-- {mark}:end -->)", re.S)
    if not pattern.search(text):
        raise SystemExit(f"{README.name} has no place for `{mark}`")
    return pattern.sub(lambda found: f"{found[1]}{table}\n{found[2]}", text)


# A compiler of another patch level makes a program of a slightly different size.
TOLERANCE_BYTES = 50_000


def check_sizes(text: str, rows: list[str]) -> None:
    """What the README says of some variants, against what was built."""
    for row in rows:
        features, size = row.split("=")
        said = re.search(rf"^\| {re.escape(features)} \| ([0-9.]+) MB \|$", text, re.M)
        if not said or abs(float(said[1]) * 1_000_000 - int(size)) > TOLERANCE_BYTES:
            raise SystemExit(f"bridge/README.md is wrong about the size with `{features}`: scripts/bridge-size --write")


def short(value: float | None) -> str:
    """Three figures that carry meaning, as scripts/bench prints them."""
    if value is None:
        return "–"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}" if value else "0"


def figures(file: Path) -> str:
    run = json.loads(file.read_text())
    section = run["sections"].get("bridge")
    if section is None or run["quick"] or run["against_itself"] or run["failures"]:
        raise SystemExit(f"{file} holds no whole run of the bridge without a failure: scripts/bench bridge --peers")
    peers = sorted({name for row in section["rows"] for name in row["peers"]} - {"direct"})
    rows = [
        f"| Figure | Footbridge | {section['base']} | ratio | to reach | | {' | '.join(['direct', *peers])} |",
        "|---|" + "---|" * (6 + len(peers)),
    ]
    indent = re.compile("^ +")
    for row in section["rows"]:
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        reached = {True: "yes", False: "**no**", None: ""}[row["reached"]]
        others = [short(row["peers"].get(name)) for name in ["direct", *peers]]
        cells = [indent.sub("· ", row["figure"]), short(row["ours"]), short(row["base"]), ratio, row["target"], reached, *others]
        rows.append(f"| {' | '.join(cells)} |")
    notes = [run["machine"], *section["notes"], *section["not_measured"]]
    return "\n".join(rows) + "\n\n" + "\n".join(f"- {note}" for note in notes)


def main() -> None:
    arguments = sys.argv[1:]
    text = README.read_text()
    if arguments[:1] == ["crates"]:
        wanted = between(text, "crates", crates())
        if arguments[1:] == ["--write"]:
            README.write_text(wanted)
        elif wanted != text:
            raise SystemExit("bridge/README.md lists other crates: python3 scripts/lib/bridge_readme.py crates --write")
    elif arguments[:2] == ["sizes", "--check"]:
        check_sizes(text, arguments[2:])
    elif arguments[:1] == ["sizes"] and len(arguments) > 1:
        rows = ["| Features | Size |", "|---|---|"]
        for row in arguments[1:]:
            features, size = row.split("=")
            rows.append(f"| {features} | {int(size) / 1_000_000:.2f} MB |")
        README.write_text(between(text, "sizes", "\n".join(rows)))
    elif arguments[:1] == ["figures"] and len(arguments) == 2:
        README.write_text(between(text, "figures", figures(Path(arguments[1]))))
    else:
        raise SystemExit(__doc__)


main()
