"""usage: sbom.py PACKAGE TARGET OUT    writes a CycloneDX 1.5 bill of materials: every crate in the program for TARGET

`cargo tree` says what is in it (with the features of this package alone), `Cargo.lock` what each was checked against.
"""

import subprocess
import sys
import time
import tomllib
import uuid
from pathlib import Path

from common import ROOT, source_date, to_json, version


def tree(package: str, target: str) -> list[tuple[int, str, str, str]]:
    """Depth, name, version and licence of every line of the tree. A triple that cargo does not know stands for both halves."""
    triple = "aarch64-apple-darwin" if target == "universal-apple-darwin" else target
    text = subprocess.run(
        ["cargo", "tree", "--locked", "--package", package, "--edges", "normal", "--target", triple]
        + ["--prefix", "depth", "--format", "\t{p}\t{l}"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    lines = []
    for line in text.splitlines():
        depth, crate, licence = line.split("\t")
        name, crate_version = crate.split()[:2]
        licence = licence.removesuffix(" (*)").strip().replace("/", " OR ")
        lines.append((int(depth), name, crate_version.removeprefix("v"), licence))
    return lines


def main(package: str, target: str, out: Path) -> None:
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    checksums = {(crate["name"], crate["version"]): crate.get("checksum") for crate in lock["package"]}
    components: dict[str, dict] = {}
    edges: dict[str, set[str]] = {}
    path: list[str] = []
    for depth, name, crate_version, licence in tree(package, target):
        reference = f"pkg:cargo/{name}@{crate_version}"
        del path[depth:]
        if path:
            edges[path[-1]].add(reference)
        path.append(reference)
        edges.setdefault(reference, set())
        component = {
            "type": "application" if depth == 0 else "library",
            "bom-ref": reference,
            "name": name,
            "version": crate_version,
            "purl": reference,
        }
        if licence:
            component["licenses"] = [{"expression": licence}]
        checksum = checksums.get((name, crate_version))
        if checksum:
            component["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        components.setdefault(reference, component)
    root = f"pkg:cargo/{package}@{version(package)}"
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(source_date())),
            "component": components.pop(root),
            "properties": [{"name": "cargo:target", "value": target}],
        },
        "components": [components[reference] for reference in sorted(components)],
        "dependencies": [{"ref": reference, "dependsOn": sorted(edges[reference])} for reference in sorted(edges)],
    }
    # The same content has the same number.
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, to_json(document).decode())}"
    file = out / f"{package}-v{version(package)}-{target}.cdx.json"
    file.write_bytes(to_json(document))
    print(file)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
