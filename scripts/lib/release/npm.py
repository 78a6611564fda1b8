"""usage: npm.py OUT    makes the npm packages from the bridge's archives in OUT: `footbridge` and one for each platform

The main package is the folder npm/ with its version and its optional dependencies filled in. npm installs the one whose
`os` and `cpu` fit; nothing is downloaded or run at install time.
"""

import json
import sys
from pathlib import Path

from common import PLATFORMS, ROOT, File, binary_in, to_json, version, write_tgz

PACKAGE = "footbridge"


def licences() -> list[File]:
    return [(f"package/{name}", (ROOT / name).read_bytes(), False) for name in ("LICENSE-MIT", "LICENSE-APACHE")]


def main(out: Path) -> None:
    number = version(PACKAGE)
    template = json.loads((ROOT / "npm/package.json").read_text())
    optional = {}
    for known in PLATFORMS:
        archive = out / f"{PACKAGE}-v{number}-{known.target}{known.suffix}"
        name = f"{PACKAGE}-{known.npm}"
        if known.npm is None or name in optional or not archive.exists():
            continue
        optional[name] = number
        manifest = {
            "name": name,
            "version": number,
            "description": f"The program `{PACKAGE}` for {known.os} on {known.cpu}. Install `{PACKAGE}` instead.",
            "license": template["license"],
            "repository": template["repository"],
            "os": [known.os],
            "cpu": [known.cpu],
            **({"libc": [known.libc]} if known.libc else {}),
            "files": ["bin"],
            "preferUnplugged": True,
        }
        readme = f"The program of [`{PACKAGE}`](https://www.npmjs.com/package/{PACKAGE}) for {known.os} on {known.cpu}.\n"
        files: list[File] = [
            ("package/package.json", to_json(manifest), False),
            ("package/README.md", readme.encode(), False),
            (f"package/bin/{PACKAGE}{known.exe}", binary_in(archive, f"{PACKAGE}{known.exe}"), True),
        ]
        path = out / f"{name}-{number}.npm.tgz"
        write_tgz(path, files + licences())
        print(path)
    if not optional:
        raise SystemExit(f"release: no archive of {PACKAGE} in {out}; npm packages are made from them")
    template["version"] = number
    template["optionalDependencies"] = optional
    files = [("package/package.json", to_json(template), False)]
    files += [("package/README.md", (ROOT / "npm/README.md").read_bytes(), False)]
    files += [("package/bin/footbridge.js", (ROOT / "npm/bin/footbridge.js").read_bytes(), True)]
    path = out / f"{PACKAGE}-{number}.npm.tgz"
    write_tgz(path, files + licences())
    print(path)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
