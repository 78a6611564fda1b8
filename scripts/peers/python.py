"""usage: python scripts/peers/python.py MODE...    the official Python SDK against us

MODE is {direct,bridge}-{modern,legacy,auto}: over HTTP to the server or over stdio through the bridge, in the 2026
revision, by the 2025 handshake, or as a host does that tries the new before the old. Reads FOOTBRIDGE_URL,
FOOTBRIDGE_KEY, FOOTBRIDGE_CAREFUL_KEY (of a tenant that confirms every change) and FOOTBRIDGE_HUMAN_KEY (whose changes a
person confirms, with FOOTBRIDGE_SERVER on the data in FOOTBRIDGE_DATA), and for the bridge FOOTBRIDGE_BRIDGE (its program).
One line a check; exit code 1 if any check failed.
"""

import json
import os
import sys
from contextlib import asynccontextmanager
from importlib.metadata import version

import anyio
import httpx2
from mcp import Client, MCPError, StdioServerParameters, types
from mcp.client.streamable_http import streamable_http_client

MODERN = "2026-07-28"
# A mode that takes longer hangs; the honest ones take well under a second.
MODE_TIMEOUT_S = 30
INVALID_PARAMS = -32602
# What scripts/peers/run put into the notes folder, found by words that stand in one note only.
NOTE_QUERY, NOTE_MARKER = "lighthouse keeper", "Fresnel"

NEGOTIATION = {"modern": MODERN, "legacy": "legacy", "auto": "auto"}
NAME = f"python {version('mcp')}"


class Checks:
    """Prints a line for each check and counts the failed ones; a failed check does not end the mode."""

    def __init__(self):
        self.failures = 0

    async def run(self, mode, what, check):
        try:
            await check()
            print(f"ok    {NAME}  {mode}  {what}")
        except Exception as error:
            self.fail(mode, what, f"{type(error).__name__}: {error}"[:600])

    def fail(self, mode, what, why):
        self.failures += 1
        print(f"FAIL  {NAME}  {mode}  {what}: {why}")


def expect(condition, message):
    if not condition:
        raise AssertionError(message)


async def answer(client, name, arguments):
    """Calls a tool that must succeed, and holds the two forms of its answer against each other."""
    result = await client.call_tool(name, arguments)
    expect(not result.is_error, f"is an error: {result.content}")
    expect(result.content and result.content[0].type == "text", f"first content block is no text: {result.content}")
    expect(json.loads(result.content[0].text) == result.structured_content, "content and structuredContent differ")
    return result.structured_content


async def check_all(checks, mode, era, client):
    async def speaks():
        expect((client.protocol_version == MODERN) == (era == "modern"), f"negotiated {client.protocol_version}")

    async def lists():
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        for name in ("search", "memory_put", "memory_get"):
            expect(name in tools, f"no {name} among {sorted(tools)}")
            expect(tools[name].input_schema.get("type") == "object" and tools[name].description, f"{name} lacks schema or description")

    async def searches():
        found = await answer(client, "search", {"query": NOTE_QUERY})
        expect(NOTE_MARKER in json.dumps(found["results"]), f"note missing in {found}")

    key = f"peer-python-{mode}"
    content = f'written by python in {mode}, with "quotes", a line\nbreak and ünïcödé 世界'

    async def stores():
        memory = (await answer(client, "memory_put", {"key": key, "content": content}))["memory"]
        expect((memory["key"], memory["content"]) == (key, content), f"stored {memory}")

    async def reads():
        memory = (await answer(client, "memory_get", {"key": key}))["memory"]
        expect(memory["content"] == content, f"read {memory}")

    async def refuses_unknown():
        try:
            result = await client.call_tool("no_such_tool", {})
        except MCPError as error:
            expect(error.code == INVALID_PARAMS, f"code {error.code}: {error.message}")
            expect("no_such_tool" in error.message, f"the message does not name it: {error.message}")
        else:
            raise AssertionError(f"got a result: {result}")

    async def refuses_wrong_argument():
        result = await client.call_tool("search", {"query": 5})
        expect(result.is_error, f"was accepted: {result}")
        expect("query" in result.content[0].text, f"the text does not name the field: {result.content}")

    await checks.run(mode, f"speaks the {era} era", speaks)
    await checks.run(mode, "lists the tools", lists)
    await checks.run(mode, "search finds the note", searches)
    await checks.run(mode, "memory_put stores", stores)
    await checks.run(mode, "memory_get reads it back", reads)
    await checks.run(mode, "an unknown tool is a protocol error", refuses_unknown)
    await checks.run(mode, "a wrong argument is a readable tool error", refuses_wrong_argument)


async def check_confirming(checks, mode, sessionless=False):
    """A change that is agreed to, and one that is not. Whoever is asked sees the preview. A client that talks to the
    server directly in the older era is asked in its session; sessionless it cannot be, and confirms by token."""
    asked, answers = [], []

    async def on_elicit(_, params):
        asked.append(params.message)
        return answers.pop()

    key = f"confirm-python-{mode}{'-sessionless' if sessionless else ''}"
    careful = os.environ["FOOTBRIDGE_CAREFUL_KEY"]
    async with connected(mode, careful, sessionless=sessionless, elicitation_callback=on_elicit) as client:
        await client.list_tools()

        async def put(name, **more):
            arguments = {"key": name, "content": "agreed to", **more}
            return (await client.call_tool("memory_put", arguments)).structured_content

        async def is_stored(name):
            return not (await client.call_tool("memory_get", {"key": name})).is_error

        async def by_token():
            preview = await put(key)
            expect(preview["status"] == "confirmation_required", f"got {preview}")
            expect(not await is_stored(key), "stored before anybody agreed")
            done = await put(key, confirmation_token=preview["confirmation_token"])
            expect(done["status"] == "done" and done["result"]["memory"]["content"] == "agreed to", f"got {done}")
            again = await put(key, confirmation_token=preview["confirmation_token"])
            expect(again.get("replayed") is True, f"a second time: {again}")
            expect(not asked, "was asked where nobody can be")

        async def agrees():
            answers.append(types.ElicitResult(action="accept", content={"confirm": True}))
            done = await put(key)
            expect(done["status"] == "done" and done["result"]["memory"]["content"] == "agreed to", f"got {done}")
            expect(len(asked) == 1 and "agreed to" in asked[0], f"was asked {asked}")
            expect(await is_stored(key), "is not stored")

        async def declines():
            answers.append(types.ElicitResult(action="decline"))
            declined = await put(f"{key}-declined")
            expect(declined["status"] == "declined", f"got {declined}")
            expect(not await is_stored(f"{key}-declined"), "is stored all the same")

        if sessionless:
            await checks.run(mode, "without a session a change is previewed, then confirmed by its token", by_token)
        else:
            await checks.run(mode, "the user is asked, agrees, and it happens", agrees)
            await checks.run(mode, "the user is asked, declines, and nothing happens", declines)


async def check_human(checks, mode):
    """Where the key wants a person's yes and the client cannot ask one, a person gives it at a terminal."""
    key = f"human-python-{mode}"
    async with connected(mode, os.environ["FOOTBRIDGE_HUMAN_KEY"]) as client:
        await client.list_tools()

        async def put(name):
            return (await client.call_tool("memory_put", {"key": name, "content": "agreed to"})).structured_content

        async def answered(waiting, command):
            expect(waiting["status"] == "pending_approval", f"got {waiting}")
            code = waiting["approve"]["command"].rsplit(" ", 1)[1]
            words = [os.environ["FOOTBRIDGE_SERVER"], command, code, "--tenant", "careful"]
            await anyio.run_process([*words, "--data", os.environ["FOOTBRIDGE_DATA"]])

        async def approves():
            waiting = await put(key)
            expect((await put(key))["status"] == "pending_approval", "ran before anybody agreed")
            await answered(waiting, "approve")
            done = await put(key)
            expect(done["status"] == "done" and done["result"]["memory"]["content"] == "agreed to", f"got {done}")

        async def declines():
            await answered(await put(f"{key}-declined"), "decline")
            declined = await put(f"{key}-declined")
            expect(declined["status"] == "declined", f"got {declined}")
            stored = await client.call_tool("memory_get", {"key": f"{key}-declined"})
            expect(stored.is_error, "is stored all the same")

        await checks.run(mode, "a person approves at a terminal, and the repeated call does it", approves)
        await checks.run(mode, "a person declines at a terminal, and nothing happens", declines)


async def forget_session(response):
    """As if the server gave out no session: what older clients, and some proxies, make of one that does."""
    response.headers.pop("mcp-session-id", None)


@asynccontextmanager
async def connected(mode, key, sessionless=False, **options):
    way, kind = mode.split("-")
    url = os.environ["FOOTBRIDGE_URL"]
    hooks = {"response": [forget_session]} if sessionless else {}
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(headers=headers, timeout=MODE_TIMEOUT_S, event_hooks=hooks) as http:
        if way == "direct":
            target = streamable_http_client(url, http_client=http)
        else:
            environment = {"FOOTBRIDGE_URL": url, "FOOTBRIDGE_KEY": key}
            target = StdioServerParameters(command=os.environ["FOOTBRIDGE_BRIDGE"], env=environment)
        async with Client(target, mode=NEGOTIATION[kind], **options) as client:
            yield client


async def run_mode(checks, mode):
    async with connected(mode, os.environ["FOOTBRIDGE_KEY"]) as client:
        print(f"ok    {NAME}  {mode}  connects")
        # Our server serves both eras, so a host that tries the new one first gets it.
        await check_all(checks, mode, "legacy" if mode.endswith("legacy") else "modern", client)
    await check_confirming(checks, mode)
    await check_human(checks, mode)
    if mode == "direct-legacy":
        await check_confirming(checks, mode, sessionless=True)


async def main(modes):
    checks = Checks()
    for mode in modes:
        try:
            with anyio.fail_after(MODE_TIMEOUT_S):
                await run_mode(checks, mode)
        except Exception as error:  # the SDK raises groups, whose causes are what a reader needs
            while isinstance(error, ExceptionGroup):
                error = error.exceptions[0]
            checks.fail(mode, "connects and closes", f"{type(error).__name__}: {error}")
    return 1 if checks.failures else 0


if __name__ == "__main__":
    MODES = [f"{way}-{kind}" for way in ("direct", "bridge") for kind in NEGOTIATION]
    WANTED = sys.argv[1:]
    NEEDED = {f"FOOTBRIDGE_{name}" for name in ("URL", "KEY", "CAREFUL_KEY", "HUMAN_KEY", "SERVER", "DATA")}
    if not WANTED or set(WANTED) - set(MODES) or not NEEDED <= set(os.environ):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    sys.exit(anyio.run(main, WANTED))
