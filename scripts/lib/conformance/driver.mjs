// usage: node driver.mjs ADDRESS    the client the suite starts: a stdio host whose bridge stands between it and the suite
//
// Set by the suite: MCP_CONFORMANCE_SCENARIO, _PROTOCOL_VERSION and _CONTEXT. Set by bridge.mjs: CONFORMANCE_DRIVER, JSON
// with `tools` (the npm packages), `bridge` and `args` (what is under test; {url} stands for the address), `host` (one of
// HOSTS), and `directory` (the scenario's own: the bridge's home, and host.json with what the host saw).
// Exit code: 0 the host saw what it had to see, 1 it did not.
import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { playOf } from './plays.mjs';

/** Signing in through the suite takes well under a second; a bridge that hangs costs this much for each request. */
const REQUEST_TIMEOUT_MS = 20_000;
/** Names that a bridge may look for to open a page. */
const OPENERS = ['xdg-open', 'open', 'gio', 'x-www-browser', 'sensible-browser', 'www-browser'];

const { tools, bridge, args, host: kind, directory } = JSON.parse(process.env.CONFORMANCE_DRIVER);
const scenario = process.env.MCP_CONFORMANCE_SCENARIO;
const revision = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION;
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const url = process.argv[2];

const require = createRequire(join(tools, 'package.json'));
const { Client } = require('@modelcontextprotocol/client');
const { StdioClientTransport } = require('@modelcontextprotocol/client/stdio');

/** How each kind of host finds the revision. */
const HOSTS = {
    same: revision === '2025-11-25' ? 'legacy' : { pin: revision },
    translated: 'legacy',
    auto: 'auto',
};

const trace = [];
let starts = 0;

/** Notes every start and message. On the prototype: the SDK's probe process must be the plain class. */
function traceBridge() {
    const { send, start } = StdioClientTransport.prototype;
    StdioClientTransport.prototype.start = function counted() {
        starts += 1;
        return start.call(this);
    };
    const seen = new WeakSet();
    StdioClientTransport.prototype.send = function traced(message) {
        if (!seen.has(this)) {
            seen.add(this);
            const receive = this.onmessage;
            this.onmessage = (received, ...rest) => {
                trace.push({ pid: this.pid, received });
                receive?.(received, ...rest);
            };
        }
        trace.push({ pid: this.pid, sent: message });
        return send.call(this, message);
    };
}

/** A new home with a browser in it, under every name that one may have. */
function makeHome() {
    const home = join(directory, 'home');
    const shims = join(home, 'bin');
    mkdirSync(shims, { recursive: true });
    const script = join(dirname(fileURLToPath(import.meta.url)), 'browser.mjs');
    for (const name of OPENERS) {
        writeFileSync(join(shims, name), `#!/bin/sh\nexec '${process.execPath}' '${script}' "$@"\n`, { mode: 0o755 });
    }
    return { HOME: home, PATH: `${shims}:${process.env.PATH}`, BROWSER: join(shims, 'xdg-open') };
}

async function perform(play) {
    const transport = new StdioClientTransport({
        command: bridge,
        args: args.map((word) => word.replaceAll('{url}', url)),
        env: { ...makeHome(), FOOTBRIDGE_URL: url, ...play.variables(context) },
        stderr: 'inherit',
    });
    const probe = { timeoutMs: REQUEST_TIMEOUT_MS };
    const client = new Client({ name: 'conformance-host', version: '1' }, { ...play.options, versionNegotiation: { mode: HOSTS[kind], probe } });
    play.prepare(client);
    // Every request the same limit: the suite would kill this process before the SDK's own has passed.
    const limited = new Proxy(client, {
        get(target, name) {
            const value = target[name];
            if (typeof value !== 'function') return value;
            const takesLimit = /^(listTools|callTool|listResources|readResource|listPrompts|getPrompt)$/.test(name);
            return takesLimit ? (params) => value.call(target, params, { timeout: REQUEST_TIMEOUT_MS }) : value.bind(target);
        },
    });
    try {
        await client.connect(transport, { timeout: REQUEST_TIMEOUT_MS });
        await play.run(limited, context);
    } finally {
        await client.close();
    }
}

/** Why the host is not content, or null. */
async function verdict() {
    const play = playOf(scenario);
    const failure = await perform(play).then(() => null, (error) => error);
    if (kind === 'auto' && starts !== 2) return `the SDK started the bridge ${starts} times, not twice; this mode is about that`;
    if (!play.refused) return failure && `${failure.name}: ${failure.message}`;
    if (failure === null) return 'nothing was refused, although this authorization server must not be trusted';
    // An error reply is a refusal; silence and a bridge that died are not.
    const refused = trace.some(({ received }) => received?.error?.message);
    return refused ? null : `the refusal did not reach the host as an error: ${failure.message}`;
}

traceBridge();
const problem = await verdict().catch((error) => `the driver failed: ${error.stack}`);
writeFileSync(join(directory, 'host.json'), `${JSON.stringify({ scenario, revision, kind, problem, trace }, null, 2)}\n`);
if (problem !== null) process.stderr.write(`host: ${problem}\n`);
process.exit(problem === null ? 0 : 1);
