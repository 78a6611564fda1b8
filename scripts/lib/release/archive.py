"""usage: archive.py PACKAGE TARGET BINARY OUT    writes the archive that [package.metadata.binstall] promises for TARGET"""

import sys
from pathlib import Path

from common import ROOT, File, platform, version, write_tgz, write_zip


def papers(package: str) -> list[tuple[str, Path]]:
    """What travels with the program: name in the archive, file here."""
    folder = ROOT / {"footbridge": "bridge", "footbridge-server": "server"}[package]
    readme = folder / "README.md"
    found = [
        ("README.md", readme if readme.exists() else ROOT / "README.md"),
        ("CHANGELOG.md", folder / "CHANGELOG.md"),
        ("LICENSE-MIT", ROOT / "LICENSE-MIT"),
        ("LICENSE-APACHE", ROOT / "LICENSE-APACHE"),
    ]
    for sub in ("completions", "man"):
        found += [(f"{sub}/{file.name}", file) for file in sorted((folder / sub).glob("*"))]
    return found


def main(package: str, target: str, binary: Path, out: Path) -> None:
    known = platform(target)
    name = f"{package}-v{version(package)}-{target}"
    files: list[File] = [(f"{name}/{package}{known.exe}", binary.read_bytes(), True)]
    files += [(f"{name}/{paper}", file.read_bytes(), False) for paper, file in papers(package)]
    path = out / f"{name}{known.suffix}"
    (write_zip if known.suffix == ".zip" else write_tgz)(path, files)
    print(path)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
