// usage: node scripts/peers/crossings.mjs    hosts of one era, through the bridge, before servers of the other
//
// Legacy official clients (TypeScript SDK 1, and 2 in its legacy mode) before an official server that refuses everything
// but the 2026 revision; a modern client before an official server that knows the handshake only, with translation
// switched on, and a host that tries both eras before it with translation off. Each lists, calls, is asked by a tool,
// reads progress and cancels. Reads FOOTBRIDGE_BRIDGE (the bridge's program) and PEER_PACKAGES (what scripts/lib/node-tools
// printed). One line a check; exit code 1 if any check failed.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { legacyOnly, modernOnly } from './crossing-servers.mjs';

const MODERN = '2026-07-28';
/** A request that takes longer hangs; the honest ones take well under a second. */
const REQUEST_TIMEOUT_MS = 8_000;
/** How long a cancellation may take to reach the tool. */
const CANCEL_PATIENCE_MS = 4_000;
const POLL_MS = 10;

const { FOOTBRIDGE_BRIDGE, PEER_PACKAGES } = process.env;
if (process.argv.length > 2 || !FOOTBRIDGE_BRIDGE || !PEER_PACKAGES) {
    process.stderr.write('usage: FOOTBRIDGE_BRIDGE=… PEER_PACKAGES=… crossings.mjs\n');
    process.exit(2);
}
const require = createRequire(join(PEER_PACKAGES, 'package.json'));
const versionOf = (name) => require(join(PEER_PACKAGES, 'node_modules', name, 'package.json')).version;

/** Both generations of the client behind one shape. */
const GENERATIONS = {
    1: () => {
        const { Client } = require('@modelcontextprotocol/sdk/client/index.js');
        const { StdioClientTransport } = require('@modelcontextprotocol/sdk/client/stdio.js');
        const { ElicitRequestSchema } = require('@modelcontextprotocol/sdk/types.js');
        return {
            name: `typescript ${versionOf('@modelcontextprotocol/sdk')}`,
            connect: async (environment, _mode, answer) => {
                const client = new Client({ name: 'crossing-host', version: '1' }, { capabilities: { elicitation: { form: {} } } });
                client.setRequestHandler(ElicitRequestSchema, answer);
                await client.connect(new StdioClientTransport({ command: FOOTBRIDGE_BRIDGE, env: environment }), { timeout: REQUEST_TIMEOUT_MS });
                return { client, call: (params, options) => client.callTool(params, undefined, options) };
            },
        };
    },
    2: () => {
        const { Client } = require('@modelcontextprotocol/client');
        const { StdioClientTransport } = require('@modelcontextprotocol/client/stdio');
        return {
            name: `typescript ${versionOf('@modelcontextprotocol/client')}`,
            connect: async (environment, mode, answer) => {
                const options = { capabilities: { elicitation: { form: {} } }, versionNegotiation: { mode } };
                const client = new Client({ name: 'crossing-host', version: '1' }, options);
                client.setRequestHandler('elicitation/create', answer);
                await client.connect(new StdioClientTransport({ command: FOOTBRIDGE_BRIDGE, env: environment }), { timeout: REQUEST_TIMEOUT_MS });
                return { client, call: (params, options) => client.callTool(params, options) };
            },
        };
    },
};

const CROSSINGS = [
    { generation: 1, mode: null, server: modernOnly, title: 'legacy host, modern server', environment: {} },
    { generation: 2, mode: 'legacy', server: modernOnly, title: 'legacy host, modern server', environment: {} },
    { generation: 2, mode: { pin: MODERN }, server: legacyOnly, title: 'modern host, legacy server', environment: { FOOTBRIDGE_TRANSLATE: '1' } },
    { generation: 2, mode: 'auto', server: legacyOnly, title: 'host of both eras, legacy server', environment: {} },
];

let failures = 0;

/** Runs one check and prints its line; a later check still runs when an earlier one failed. */
async function check(who, what, run) {
    try {
        await run();
        console.log(`ok    ${who}  ${what}`);
    } catch (error) {
        failures += 1;
        console.log(`FAIL  ${who}  ${what}: ${error.message}`);
    }
}

function expect(condition, message) {
    if (!condition) throw new Error(message);
}

const show = (value) => JSON.stringify(value)?.slice(0, 300);
const textOf = (result) => result.content?.[0]?.text;

/** Waits until something is so, for a while. */
async function becomes(condition, milliseconds) {
    const deadline = Date.now() + milliseconds;
    while (!condition()) {
        if (Date.now() > deadline) return false;
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    return true;
}

async function checkAll(who, { client, call }, seen, answers) {
    const limit = { timeout: REQUEST_TIMEOUT_MS };
    await check(who, 'lists the tools', async () => {
        const { tools } = await client.listTools(undefined, limit);
        expect(tools.map((tool) => tool.name).join() === 'echo,ask,steps,wait', `listed ${show(tools)}`);
        expect(tools[0].inputSchema?.required?.[0] === 'text' && tools[0].description, `echo lost its schema: ${show(tools[0])}`);
    });
    await check(who, 'calls a tool', async () => {
        const said = 'with "quotes", a line\nbreak and ünïcödé 世界';
        const result = await call({ name: 'echo', arguments: { text: said } }, limit);
        expect(textOf(result) === said, `got ${show(result)}`);
        expect(seen.echo === 1, `the server saw the call ${seen.echo} times`);
    });
    await check(who, 'is asked by a tool', async () => {
        const result = await call({ name: 'ask', arguments: {} }, limit);
        expect(textOf(result) === 'Hello, Ada!', `got ${show(result)}`);
        expect(answers.count === 1, `the host was asked ${answers.count} times`);
        expect(seen.answered === 1, `the server was answered ${seen.answered} times`);
        expect(answers.params?.message === 'Who are you?', `the question became ${show(answers.params)}`);
        expect(answers.params?.requestedSchema?.properties?.name?.type === 'string', `the form became ${show(answers.params)}`);
    });
    await check(who, 'reads progress', async () => {
        const steps = [];
        const result = await call({ name: 'steps', arguments: {} }, { ...limit, onprogress: (step) => steps.push(step) });
        expect(textOf(result) === 'done', `got ${show(result)}`);
        expect(show(steps.map((step) => [step.progress, step.total])) === '[[1,3],[2,3],[3,3]]', `read ${show(steps)}`);
    });
    await check(who, 'cancels a call', async () => {
        const stop = new AbortController();
        const call_ = call({ name: 'wait', arguments: {} }, { ...limit, signal: stop.signal }).then(
            (result) => `got ${show(result)}`,
            () => null,
        );
        expect(await becomes(() => seen.wait === 1, CANCEL_PATIENCE_MS), 'the call did not reach the server');
        stop.abort('no longer wanted');
        const outcome = await call_;
        expect(outcome === null, outcome);
        expect(await becomes(() => seen.cancelled === 1, CANCEL_PATIENCE_MS), 'the cancellation did not reach the server');
    });
    await check(who, 'goes on after that', async () => {
        const result = await call({ name: 'echo', arguments: { text: 'still here' } }, limit);
        expect(textOf(result) === 'still here', `got ${show(result)}`);
    });
}

for (const { generation, mode, server, title, environment } of CROSSINGS) {
    const { name, connect } = GENERATIONS[generation]();
    const who = `${name}  ${title}`;
    const { url, seen, close, sessions } = await server(require);
    const answers = { count: 0, params: null };
    const answer = async ({ params }) => {
        answers.count += 1;
        answers.params = params;
        return { action: 'accept', content: { name: 'Ada' } };
    };
    let host = null;
    await check(who, 'connects', async () => {
        host = await connect({ FOOTBRIDGE_URL: url, ...environment }, mode, answer);
        // Generation 1 does not tell; it can only have shaken hands.
        const spoken = host.client.getNegotiatedProtocolVersion?.();
        const modern = typeof mode === 'object' && mode !== null;
        expect(generation === 1 || (spoken === MODERN) === modern, `negotiated ${spoken}`);
    });
    if (host) {
        await checkAll(who, host, seen, answers);
        await host.client.close();
    }
    if (host && sessions) {
        await check(who, 'runs nothing twice', async () => expect(seen.ask === 1, `the server ran the asking tool ${seen.ask} times`));
    }
    close();
}
process.exit(failures > 0 ? 1 : 0);
