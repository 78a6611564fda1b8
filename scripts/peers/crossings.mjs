// usage: node scripts/peers/crossings.mjs    hosts of one era, through the bridge, before servers of the other
//
// Legacy official clients (TypeScript SDK 1, and 2 in its legacy mode) before an official server that refuses everything
// but the 2026 revision; a modern client before an official server that knows the handshake only, with translation
// switched on, and a host that tries both eras before it with translation off. Each lists, calls, is asked by tools in
// every way there is, reads progress and log lines, hears of changes and cancels. Reads FOOTBRIDGE_BRIDGE (the bridge's program) and PEER_PACKAGES (what scripts/lib/node-tools
// printed). One line a check; exit code 1 if any check failed.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { RESOURCE, TOOL_NAMES, legacyOnly, modernOnly } from './crossing-servers.mjs';

const MODERN = '2026-07-28';
/** A request that takes longer hangs; the honest ones take well under a second. */
const REQUEST_TIMEOUT_MS = 8_000;
/** How long a notification may take from one end to the other. */
const PATIENCE_MS = 4_000;
const TOUCHES = 8;
const POLL_MS = 10;

const { FOOTBRIDGE_BRIDGE, PEER_PACKAGES } = process.env;
if (process.argv.length > 2 || !FOOTBRIDGE_BRIDGE || !PEER_PACKAGES) {
    process.stderr.write('usage: FOOTBRIDGE_BRIDGE=… PEER_PACKAGES=… crossings.mjs\n');
    process.exit(2);
}
const require = createRequire(join(PEER_PACKAGES, 'package.json'));
const versionOf = (name) => require(join(PEER_PACKAGES, 'node_modules', name, 'package.json')).version;

const INVALID_PARAMS = -32602;
const LOG_LEVEL_KEY = 'io.modelcontextprotocol/logLevel';
const IDENTITY = { name: 'crossing-host', version: '1' };
const CAPABILITIES = { elicitation: { form: {} }, sampling: {}, roots: {} };

/**
 * Both generations of the client behind one shape: `connect(environment, mode, host)` wires the host's answers and ears,
 * and gives the client and `call(params, options)`.
 */
const GENERATIONS = {
    1: () => {
        const { Client } = require('@modelcontextprotocol/sdk/client/index.js');
        const { StdioClientTransport } = require('@modelcontextprotocol/sdk/client/stdio.js');
        const schemas = require('@modelcontextprotocol/sdk/types.js');
        return {
            name: `typescript ${versionOf('@modelcontextprotocol/sdk')}`,
            connect: async (environment, _mode, host) => {
                const client = new Client(IDENTITY, { capabilities: CAPABILITIES });
                client.setRequestHandler(schemas.ElicitRequestSchema, ({ params }, { signal }) => host.answer(params, signal));
                client.setRequestHandler(schemas.CreateMessageRequestSchema, ({ params }) => host.sample(params));
                client.setRequestHandler(schemas.ListRootsRequestSchema, () => host.roots());
                client.setNotificationHandler(schemas.LoggingMessageNotificationSchema, ({ params }) => host.hears('log', params.data));
                client.setNotificationHandler(schemas.ToolListChangedNotificationSchema, () => host.hears('tools'));
                client.setNotificationHandler(schemas.ResourceUpdatedNotificationSchema, ({ params }) => host.hears('resource', params.uri));
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
            connect: async (environment, mode, host) => {
                const client = new Client(IDENTITY, { capabilities: CAPABILITIES, versionNegotiation: { mode } });
                client.setRequestHandler('elicitation/create', ({ params }, { mcpReq }) => host.answer(params, mcpReq.signal));
                client.setRequestHandler('sampling/createMessage', ({ params }) => host.sample(params));
                client.setRequestHandler('roots/list', () => host.roots());
                client.setNotificationHandler('notifications/message', ({ params }) => host.hears('log', params.data));
                client.setNotificationHandler('notifications/tools/list_changed', () => host.hears('tools'));
                client.setNotificationHandler('notifications/resources/updated', ({ params }) => host.hears('resource', params.uri));
                await client.connect(new StdioClientTransport({ command: FOOTBRIDGE_BRIDGE, env: environment }), { timeout: REQUEST_TIMEOUT_MS });
                return { client, call: (params, options) => client.callTool(params, options) };
            },
        };
    },
};

/** The user, the model and the ears of a host. */
class Host {
    asked = [];
    heard = [];
    /** What the user does when asked; a check may change it. */
    reply = ({ requestedSchema }) => ({ action: 'accept', content: 'age' in requestedSchema.properties ? { age: 36 } : { name: 'Ada' } });

    answer(params, signal) {
        this.asked.push(params);
        return this.reply(params, signal);
    }

    sample({ messages }) {
        const [{ content }] = messages;
        const said = Array.isArray(content) ? content[0].text : content.text;
        return { model: 'none', role: 'assistant', content: { type: 'text', text: said === 'Say hi' ? 'hi' : `not asked that: ${said}` } };
    }

    roots() {
        return { roots: [{ uri: 'file:///home/ada', name: 'home' }] };
    }

    hears(what, detail) {
        this.heard.push([what, detail]);
    }
}

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

async function checkAll(who, modern, host, { client, call }, seen) {
    const limit = { timeout: REQUEST_TIMEOUT_MS };
    const run = (name, given = {}, options = {}) => call({ name, arguments: given }, { ...limit, ...options });
    const says = async (expected, name, given) => {
        const result = await run(name, given);
        expect(textOf(result) === expected, `got ${show(result)}`);
    };
    await check(who, 'lists the tools', async () => {
        const { tools } = await client.listTools(undefined, limit);
        expect(tools.map((tool) => tool.name).join() === TOOL_NAMES.join(), `listed ${show(tools)}`);
        expect(tools[0].inputSchema?.required?.[0] === 'text' && tools[0].description, `echo lost its schema: ${show(tools[0])}`);
    });
    await check(who, 'calls a tool', async () => {
        const said = 'with "quotes", a line\nbreak and ünïcödé 世界';
        await says(said, 'echo', { text: said });
        expect(seen.echo === 1, `the server saw the call ${seen.echo} times`);
    });
    await check(who, 'reads a resource', async () => {
        const { resources } = await client.listResources(undefined, limit);
        expect(resources[0]?.uri === RESOURCE.uri, `listed ${show(resources)}`);
        const { contents } = await client.readResource({ uri: RESOURCE.uri }, limit);
        expect(contents[0]?.text === 'a note', `read ${show(contents)}`);
    });
    await check(who, 'an unknown tool is a protocol error', async () => {
        const outcome = await run('no_such_tool').catch((error) => error);
        expect(outcome.code === INVALID_PARAMS && outcome.message.includes('no_such_tool'), `got ${outcome.code} ${outcome.message ?? show(outcome)}`);
    });
    await check(who, 'is asked by a tool', async () => {
        await says('Hello, Ada!', 'ask');
        expect(host.asked.length === 1, `the host was asked ${host.asked.length} times`);
        expect(seen.answered === 1, `the server was answered ${seen.answered} times`);
        const [{ message, requestedSchema }] = host.asked;
        expect(message === 'Who are you?' && requestedSchema?.properties?.name?.type === 'string', `the question became ${show(host.asked)}`);
    });
    await check(who, 'is asked twice by one call', () => says('Ada is 36', 'ask_twice'));
    await check(who, 'is asked by two calls at once', async () => {
        const results = await Promise.all([run('ask'), run('ask')]);
        expect(results.every((result) => textOf(result) === 'Hello, Ada!'), `got ${show(results)}`);
    });
    await check(who, 'says no, and it stays a no', async () => {
        const { reply } = host;
        host.reply = () => ({ action: 'decline' });
        await says('nobody: decline', 'ask').finally(() => (host.reply = reply));
    });
    await check(who, 'lends its model', () => says('sampled: hi', 'sample'));
    await check(who, 'names its folders', () => says('file:///home/ada', 'roots'));
    await check(who, 'reads progress', async () => {
        const steps = [];
        const result = await run('steps', {}, { onprogress: (step) => steps.push(step) });
        expect(textOf(result) === 'done', `got ${show(result)}`);
        expect(show(steps.map((step) => [step.progress, step.total])) === '[[1,3],[2,3],[3,3]]', `read ${show(steps)}`);
    });
    await check(who, 'reads log lines of the level it wants', async () => {
        if (modern) {
            await call({ name: 'log', arguments: {}, _meta: { [LOG_LEVEL_KEY]: 'info' } }, limit);
        } else {
            await client.setLoggingLevel('info', limit);
            await run('log');
        }
        expect(await becomes(() => host.heard.some(([what, data]) => what === 'log' && data === 'noted'), PATIENCE_MS), `heard ${show(host.heard)}`);
    });
    await check(who, 'hears that the tools and a resource have changed', async () => {
        if (modern) await client.listen({ toolsListChanged: true, resourceSubscriptions: [RESOURCE.uri] }, limit);
        else await client.subscribeResource({ uri: RESOURCE.uri }, limit);
        const hears = (wanted) => host.heard.some(([what]) => what === wanted);
        // A legacy host has no means to know when the stream of changes is open, so the server changes until it is heard.
        for (let turn = 0; turn < TOUCHES && !(hears('tools') && hears('resource')); turn += 1) {
            await run('touch');
            await becomes(() => hears('tools') && hears('resource'), PATIENCE_MS / TOUCHES);
        }
        expect(hears('tools') && hears('resource'), `heard ${show(host.heard)}`);
        expect(host.heard.every(([what, uri]) => what !== 'resource' || uri === RESOURCE.uri), `heard ${show(host.heard)}`);
    });
    await check(who, 'cancels a call', async () => {
        const stop = new AbortController();
        const outcome = run('wait', {}, { signal: stop.signal }).then(
            (result) => `got ${show(result)}`,
            () => null,
        );
        expect(await becomes(() => seen.wait === 1, PATIENCE_MS), 'the call did not reach the server');
        stop.abort('no longer wanted');
        expect((await outcome) === null, await outcome);
        expect(await becomes(() => seen.cancelled === 1, PATIENCE_MS), 'the cancellation did not reach the server');
    });
    // A modern host asks its user by itself; nothing of the bridge is open then.
    if (!modern) {
        await check(who, 'cancels a call that asks', async () => {
            const stop = new AbortController();
            const { reply } = host;
            let closed = false;
            host.reply = (_params, signal) => {
                stop.abort('no longer wanted');
                return new Promise((resolve) => {
                    signal.addEventListener('abort', () => {
                        closed = true;
                        resolve({ action: 'cancel' });
                    });
                });
            };
            const outcome = await run('ask', {}, { signal: stop.signal }).catch(() => null);
            expect(outcome === null, `got ${show(outcome)}`);
            expect(await becomes(() => closed, PATIENCE_MS), "the question stayed open after the call's end");
            host.reply = reply;
        });
    }
    await check(who, 'goes on after that', () => says('still here', 'echo', { text: 'still here' }));
    await check(who, 'runs nothing twice', async () => {
        const once = ['sample', 'roots', 'steps', 'wait', 'log'].filter((name) => !(seen.speaks === 'modern' && ['sample', 'roots'].includes(name)));
        for (const name of once) expect(seen[name] === 1, `the server ran ${name} ${seen[name]} times`);
    });
}

for (const { generation, mode, server, title, environment } of CROSSINGS) {
    const { name, connect } = GENERATIONS[generation]();
    const who = `${name}  ${title}`;
    const { url, seen, close } = await server(require);
    seen.speaks = server === modernOnly ? 'modern' : 'legacy';
    const modern = typeof mode === 'object' && mode !== null;
    const host = new Host();
    let connection = null;
    await check(who, 'connects', async () => {
        connection = await connect({ FOOTBRIDGE_URL: url, ...environment }, mode, host);
        // Generation 1 does not tell; it can only have shaken hands.
        const spoken = connection.client.getNegotiatedProtocolVersion?.();
        expect(generation === 1 || (spoken === MODERN) === modern, `negotiated ${spoken}`);
    });
    if (connection) {
        await checkAll(who, modern, host, connection, seen);
        await connection.client.close();
    }
    close();
}
process.exit(failures > 0 ? 1 : 0);
