"""usage: mcpb.py OUT    makes the MCP bundle from the bridge's archives in OUT

A bundle tells operating systems apart, not processors: macOS gets the universal program where there is one, Linux and
Windows the one for x86-64. The manifest is packaging/mcpb/manifest.json, with its version and only the systems that are
really in it. Written here rather than by `mcpb pack`, which puts the time of day into the file.
"""

import json
import sys
from pathlib import Path

from common import PLATFORMS, ROOT, File, binary_in, to_json, version, write_zip

PACKAGE = "footbridge"


def main(out: Path) -> None:
    number = version(PACKAGE)
    manifest = json.loads((ROOT / "packaging/mcpb/manifest.json").read_text())
    manifest["version"] = number
    programs: dict[str, str] = {}
    files: list[File] = []
    for known in PLATFORMS:
        archive = out / f"{PACKAGE}-v{number}-{known.target}{known.suffix}"
        if known.os in programs or (known.os != "darwin" and known.cpu == "arm64") or not archive.exists():
            continue
        program = f"server/{known.os}/{PACKAGE}{known.exe}"
        files.append((program, binary_in(archive, f"{PACKAGE}{known.exe}"), True))
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
    files.insert(0, ("manifest.json", to_json(manifest), False))
    files += [(name, (ROOT / name).read_bytes(), False) for name in ("LICENSE-MIT", "LICENSE-APACHE")]
    path = out / f"{PACKAGE}.mcpb"
    write_zip(path, files)
    print(f"{path} ({', '.join(systems)})")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
