"""usage: brand_check.py PROGRAM BRAND    everything that a vendor's bridge says, searched for another's name

Each line of the report is something the program was made to say; it fails if the vendor's words are missing from it or
"footbridge" is in it.
"""

import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import tomllib
from pathlib import Path

LIMIT_SECONDS = 20
REQUEST = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "check", "version": "1"}},
}

program = Path(sys.argv[1]).resolve()
brand = tomllib.loads(Path(sys.argv[2]).read_text())
prefix = brand["variable_prefix"]
# Nobody's real configuration is looked at.
home = tempfile.mkdtemp()
failed = False


def run(*arguments: str, **variables: str) -> str:
    """What the program says, on both outputs, when a host sends it one request."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FOOTBRIDGE", prefix))}
    line = json.dumps(REQUEST) + "\n"
    done = subprocess.run(
        [program, *arguments], input=line, env={**kept, "HOME": home, **variables}, capture_output=True, text=True, timeout=LIMIT_SECONDS
    )
    return done.stdout + done.stderr


def check(what: str, said: str, *wanted: str) -> None:
    global failed
    problems = [f"`{word}` is missing" for word in wanted if word not in said]
    if "footbridge" in said.lower():
        problems.append("it names Footbridge")
    print(f"{'FAILED' if problems else 'ok    '} {what}{': ' + ', '.join(problems) if problems else ''}", file=sys.stderr)
    if problems:
        failed = True
        print(said, file=sys.stderr)


class Ears(http.server.BaseHTTPRequestHandler):
    """Refuses everything and remembers who asked."""

    heard: list[str] = []

    def do_POST(self) -> None:
        Ears.heard.append("\n".join(f"{name}: {value}" for name, value in self.headers.items()))
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_DELETE = do_POST

    def log_message(self, *_: object) -> None:
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ears)
threading.Thread(target=server.serve_forever, daemon=True).start()
here = f"http://127.0.0.1:{server.server_port}/mcp"
url, name = f"{prefix}URL", brand["name"]

check("--help", run("--help"), name, url, f"{prefix}KEY", brand["default_url"])
check("--version", run("--version"), name)
check("a wrong command line", run("--nonsense"), f"{name}: ", f"{name} --help")
for command in ("setup", "doctor", "login", "logout"):
    check(f"{command} --help", run(command, "--help"), f"{name} {command}")
check("a wrong value, to the host", run(**{url: here, f"{prefix}CALL_TIMEOUT": "soon"}), f"{prefix}CALL_TIMEOUT")
check("a wrong address, to the host", run(**{url: "ftp://x"}), url)
check("no server, to the host", run(**{url: "http://127.0.0.1:9/mcp"}), '"error"')
check("a message over the limit", run(**{url: here, f"{prefix}MAX_MESSAGE": "64"}), f"{prefix}MAX_MESSAGE")
check("a missing certificate file", run(**{url: "https://127.0.0.1:9/mcp", f"{prefix}CA_FILE": "/nowhere"}), '"error"')
check("a refusal of the server", run(**{url: here}), '"error"')
# After the refusal: another brand's variable must not have been the way here.
before = len(Ears.heard)
check("another brand's variable has no say", run(**{url: "http://127.0.0.1:9/mcp", "FOOTBRIDGE" + "_URL": here}), '"error"')
if len(Ears.heard) != before:
    check("FOOTBRIDGE_URL was followed", "footbridge")
check("the request's headers", "\n".join(Ears.heard), f"{brand['user_agent']}/")
check("doctor", run("doctor", "--url", here))
if "--print" in run("setup", "--help"):
    check("setup --print", run("setup", "cursor", "--bridge", "--print", "--no-key", "--url", here), name, prefix)
# The manual page sets its dashes apart.
for paper in sorted([*program.parent.glob("completions/*"), *program.parent.glob("man/*")]):
    check(f"{paper.parent.name}/{paper.name}", paper.read_text().replace("\\-", "-"), name)
if not list(program.parent.glob("man/*")):
    check("the manual page", "", "a page")
shutil.rmtree(home, ignore_errors=True)
raise SystemExit(1 if failed else 0)
