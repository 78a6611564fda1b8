"""usage: registry.py OUT    writes OUT/server.json, the entry of the MCP registry, and checks what the registry will check

packaging/server.json has one package, the one of npm; the others take its settings. The bundle is told by its checksum, so
it must be in OUT. The rules are those of the registry's schema and of its proof of ownership, which reads the name of the
server in the published packages: `mcpName` for npm, a visible line of the README for cargo.
"""

import hashlib
import json
import re
import sys
from pathlib import Path

from common import ROOT, to_json, version

PACKAGE = "footbridge"
VARIABLES = re.compile(r"`(FOOTBRIDGE_\w+)`")


def check(entry: dict) -> list[str]:
    """What the registry would refuse."""
    name, wrong = entry["name"], []

    def rule(holds: object, text: str) -> None:
        if not holds:
            wrong.append(text)

    rule(re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", name) and 3 <= len(name) <= 200, f"`{name}` is no server name")
    rule(1 <= len(entry["description"]) <= 100, "the description is longer than 100 characters")
    rule(1 <= len(entry["title"]) <= 100, "the title is longer than 100 characters")
    rule(set(entry["repository"]) >= {"url", "source"}, "the repository lacks its address or its host")
    owner = re.fullmatch(r"https://github\.com/([^/]+)/[^/]+", entry["repository"]["url"])
    rule(owner and name.startswith(f"io.github.{owner[1]}/"), "the name does not belong to the repository's owner")
    rule(json.loads((ROOT / "npm/package.json").read_text())["mcpName"] == name, "npm/package.json has another mcpName")
    line = f"mcp-name: {name}"
    rule(line in (ROOT / "bridge/README.md").read_text().splitlines(), f"bridge/README.md has no line `{line}`")
    known = set(VARIABLES.findall((ROOT / "bridge/OPTIONS.md").read_text()))
    for package in entry["packages"]:
        of = package["registryType"]
        rule({"registryType", "identifier", "transport"} <= set(package), f"{of}: an entry is missing")
        rule(package["transport"] == {"type": "stdio"}, f"{of}: the bridge speaks stdio")
        rule(package.get("version", entry["version"]) == entry["version"], f"{of}: another version")
        names = {variable["name"] for variable in package["environmentVariables"]}
        rule(names <= known, f"{of}: the bridge has no {', '.join(sorted(names - known))}")
        secret = {variable["name"] for variable in package["environmentVariables"] if variable.get("isSecret")}
        rule("FOOTBRIDGE_KEY" in secret, f"{of}: the key is not marked as secret")
        if of == "mcpb":
            rule(re.fullmatch(r"[a-f0-9]{64}", package.get("fileSha256", "")), "mcpb: no checksum")
            rule("mcp" in package["identifier"], "mcpb: its address must contain `mcp`")
    return wrong


def main(out: Path) -> None:
    entry = json.loads((ROOT / "packaging/server.json").read_text())
    number = version(PACKAGE)
    entry["version"] = number
    npm = entry["packages"][0]
    npm["version"] = number
    shared = {key: npm[key] for key in ("transport", "environmentVariables")}
    cargo = {"registryType": "cargo", "registryBaseUrl": "https://crates.io", "identifier": PACKAGE, "version": number}
    bundle = {
        "registryType": "mcpb",
        "identifier": f"{entry['repository']['url']}/releases/download/v{number}/{PACKAGE}.mcpb",
        "fileSha256": hashlib.sha256((out / f"{PACKAGE}.mcpb").read_bytes()).hexdigest(),
    }
    entry["packages"] = [npm, cargo | shared, bundle | shared]
    wrong = check(entry)
    if wrong:
        raise SystemExit("release: the MCP registry would refuse server.json: " + "; ".join(wrong))
    path = out / "server.json"
    path.write_bytes(to_json(entry))
    print(path)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
