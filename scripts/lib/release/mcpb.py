"""usage: mcpb.py OUT FOLDER    lays out an MCP bundle in FOLDER from the bridge's archives in OUT

A bundle tells operating systems apart, not processors: macOS gets the universal program where there is one, Linux and
Windows the one for x86-64. The manifest is packaging/mcpb/manifest.json, with its version and only the systems that are
really in it. Prints the systems.
"""

import json
import sys
from pathlib import Path

from common import PLATFORMS, ROOT, binary_in, to_json, version

PACKAGE = "footbridge"


def main(out: Path, folder: Path) -> None:
    number = version(PACKAGE)
    manifest = json.loads((ROOT / "packaging/mcpb/manifest.json").read_text())
    manifest["version"] = number
    programs: dict[str, str] = {}
    for known in PLATFORMS:
        archive = out / f"{PACKAGE}-v{number}-{known.target}{known.suffix}"
        if known.os in programs or (known.os != "darwin" and known.cpu == "arm64") or not archive.exists():
            continue
        program = f"server/{known.os}/{PACKAGE}{known.exe}"
        file = folder / program
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(binary_in(archive, f"{PACKAGE}{known.exe}"))
        file.chmod(0o755)
        programs[known.os] = program
    if not programs:
        raise SystemExit(f"release: no archive of {PACKAGE} in {out}; the bundle is made from them")
    # A system without an override gets the first of these.
    systems = [system for system in ("linux", "darwin", "win32") if system in programs]
    server = manifest["server"]
    server["entry_point"] = programs[systems[0]]
    server["mcp_config"]["command"] = "${__dirname}/" + programs[systems[0]]
    overrides = {system: {"command": "${__dirname}/" + programs[system]} for system in systems[1:]}
    if overrides:
        server["mcp_config"]["platform_overrides"] = overrides
    else:
        server["mcp_config"].pop("platform_overrides", None)
    manifest["compatibility"]["platforms"] = systems
    (folder / "manifest.json").write_bytes(to_json(manifest))
    for name in ("LICENSE-MIT", "LICENSE-APACHE"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    print(" ".join(systems))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
