// usage: node scripts/peers/typescript.mjs 1|2 MODE...    the official TypeScript SDK, generation 1 or 2, against us
//
// MODE is {direct,bridge}-{modern,legacy,auto}: over HTTP to the server or over stdio through the bridge, in the 2026
// revision, by the 2025 handshake, or as a host does that tries the new before the old. Reads FOOTBRIDGE_URL,
// FOOTBRIDGE_KEY, FOOTBRIDGE_CAREFUL_KEY (of a tenant that confirms every change) and FOOTBRIDGE_HUMAN_KEY (whose changes a
// person confirms, see approve.mjs), for the bridge FOOTBRIDGE_BRIDGE (its program), and PEER_PACKAGES (the directory that
// scripts/lib/node-tools printed). One line a check; exit code 1 if any check failed.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';

import { answerInConsole } from './approve.mjs';

const MODERN = '2026-07-28';
/** A mode that takes longer hangs; the honest ones take well under a second. */
const MODE_TIMEOUT_MS = 30_000;
const INVALID_PARAMS = -32602;
/** What scripts/peers/run put into the notes folder, found by words that stand in one note only. */
const NOTE = { query: 'lighthouse keeper', marker: 'Fresnel' };

const [generation, ...modes] = process.argv.slice(2);
const { FOOTBRIDGE_URL, FOOTBRIDGE_KEY, FOOTBRIDGE_CAREFUL_KEY, FOOTBRIDGE_HUMAN_KEY, FOOTBRIDGE_BRIDGE, PEER_PACKAGES } = process.env;
const known = modes.every((mode) => /^(direct|bridge)-(modern|legacy|auto)$/.test(mode));
if (!['1', '2'].includes(generation) || modes.length === 0 || !known || !FOOTBRIDGE_URL || !FOOTBRIDGE_KEY || !FOOTBRIDGE_CAREFUL_KEY || !FOOTBRIDGE_HUMAN_KEY || !PEER_PACKAGES) {
    process.stderr.write('usage: FOOTBRIDGE_URL=… FOOTBRIDGE_KEY=… FOOTBRIDGE_CAREFUL_KEY=… FOOTBRIDGE_HUMAN_KEY=… PEER_PACKAGES=… typescript.mjs 1|2 {direct,bridge}-{modern,legacy,auto}...\n');
    process.exit(2);
}
const require = createRequire(join(PEER_PACKAGES, 'package.json'));

/** Both generations behind one shape; the first knows the handshake only, so `negotiation` is null there. */
const SDKS = {
    1: {
        package: '@modelcontextprotocol/sdk',
        load: () => ({
            ...require('@modelcontextprotocol/sdk/client/index.js'),
            ...require('@modelcontextprotocol/sdk/client/streamableHttp.js'),
            ...require('@modelcontextprotocol/sdk/client/stdio.js'),
        }),
        elicit: () => require('@modelcontextprotocol/sdk/types.js').ElicitRequestSchema,
        negotiation: null,
    },
    2: {
        package: '@modelcontextprotocol/client',
        load: () => ({ ...require('@modelcontextprotocol/client'), ...require('@modelcontextprotocol/client/stdio') }),
        elicit: () => 'elicitation/create',
        negotiation: { modern: { pin: MODERN }, legacy: 'legacy', auto: 'auto' },
    },
};

const sdk = SDKS[generation];
const { Client, StreamableHTTPClientTransport, StdioClientTransport } = sdk.load();
// The packages export no package.json, so the version is read from the directory they resolve into.
const version = require(join(PEER_PACKAGES, 'node_modules', sdk.package, 'package.json')).version;

let failures = 0;

/** Runs one check and prints its line; a later check still runs when an earlier one failed. */
async function check(mode, what, run) {
    try {
        await run();
        console.log(`ok    typescript ${version}  ${mode}  ${what}`);
    } catch (error) {
        failures += 1;
        console.log(`FAIL  typescript ${version}  ${mode}  ${what}: ${error.message}`);
    }
}

function expect(condition, message) {
    if (!condition) throw new Error(message);
}

const show = (value) => JSON.stringify(value)?.slice(0, 300);

/** As if the server gave out no session: what older clients, and some proxies, make of one that does. */
async function withoutSession(...request) {
    const reply = await fetch(...request);
    const headers = new Headers(reply.headers);
    headers.delete('mcp-session-id');
    return new Response(reply.body, { status: reply.status, headers });
}

function transportFor(way, key = FOOTBRIDGE_KEY, more = {}) {
    if (way === 'direct') {
        const requestInit = { headers: { Authorization: `Bearer ${key}` } };
        return new StreamableHTTPClientTransport(new URL(FOOTBRIDGE_URL), { requestInit, ...more });
    }
    return new StdioClientTransport({ command: FOOTBRIDGE_BRIDGE, env: { FOOTBRIDGE_URL, FOOTBRIDGE_KEY: key } });
}

/** Calls a tool that must succeed, and holds the two forms of its answer against each other. */
async function answer(client, name, args) {
    const result = await client.callTool({ name, arguments: args });
    expect(result.isError !== true, `is an error: ${show(result.content)}`);
    expect(result.content?.[0]?.type === 'text', `first content block is no text: ${show(result.content)}`);
    const written = JSON.parse(result.content[0].text);
    expect(isDeepStrictEqual(written, result.structuredContent), 'content and structuredContent differ');
    return result.structuredContent;
}

async function checkAll(mode, era, client) {
    // Generation 1 does not tell; it can only have shaken hands.
    if (sdk.negotiation) {
        await check(mode, `speaks the ${era} era`, async () => {
            const spoken = client.getNegotiatedProtocolVersion();
            expect((spoken === MODERN) === (era === 'modern'), `negotiated ${spoken}`);
        });
    }
    await check(mode, 'lists the tools', async () => {
        const { tools } = await client.listTools();
        for (const name of ['search', 'memory_put', 'memory_get']) {
            const tool = tools.find((each) => each.name === name);
            expect(tool, `no ${name} among ${show(tools.map((each) => each.name))}`);
            expect(tool.inputSchema?.type === 'object' && tool.description, `${name} lacks schema or description`);
        }
    });
    await check(mode, 'search finds the note', async () => {
        const { results } = await answer(client, 'search', { query: NOTE.query });
        expect(show(results) && JSON.stringify(results).includes(NOTE.marker), `note missing in ${show(results)}`);
    });
    const key = `peer-typescript-${generation}-${mode}`;
    const content = `written by typescript ${generation} in ${mode}, with "quotes", a line\nbreak and ünïcödé 世界`;
    await check(mode, 'memory_put stores', async () => {
        const { memory } = await answer(client, 'memory_put', { key, content });
        expect(memory?.key === key && memory.content === content, `stored ${show(memory)}`);
    });
    await check(mode, 'memory_get reads it back', async () => {
        const { memory } = await answer(client, 'memory_get', { key });
        expect(memory?.content === content, `read ${show(memory)}`);
    });
    await check(mode, 'an unknown tool is a protocol error', async () => {
        const outcome = await client.callTool({ name: 'no_such_tool', arguments: {} }).catch((error) => error);
        expect(outcome instanceof Error && outcome.code === INVALID_PARAMS, `got ${outcome.code ?? show(outcome)} ${outcome.message ?? ''}`);
        expect(outcome.message.includes('no_such_tool'), `the message does not name it: ${outcome.message}`);
    });
    await check(mode, 'a wrong argument is a readable tool error', async () => {
        const result = await client.callTool({ name: 'search', arguments: { query: 5 } });
        expect(result.isError === true, `was accepted: ${show(result)}`);
        expect(result.content?.[0]?.text?.includes('query'), `the text does not name the field: ${show(result.content)}`);
    });
}

/**
 * A change that is agreed to, and one that is not. Whoever is asked sees the preview. A client that talks to the server
 * directly in the older era is asked in its session; `sessionless` it cannot be, and confirms by token.
 */
async function checkConfirming(mode, options, sessionless = false) {
    const [way] = mode.split('-');
    const asked = [];
    let answer;
    const client = new Client({ name: 'footbridge-peer-check', version: '1' }, { ...options, capabilities: { elicitation: { form: {} } } });
    client.setRequestHandler(sdk.elicit(), ({ params }) => {
        asked.push(params.message);
        return answer;
    });
    await client.connect(transportFor(way, FOOTBRIDGE_CAREFUL_KEY, sessionless ? { fetch: withoutSession } : {}));
    await client.listTools();
    const key = `confirm-typescript-${generation}-${mode}${sessionless ? '-sessionless' : ''}`;
    const put = async (name, args = {}) => (await client.callTool({ name: 'memory_put', arguments: { key: name, content: 'agreed to', ...args } })).structuredContent;
    const isStored = async (name) => !(await client.callTool({ name: 'memory_get', arguments: { key: name } })).isError;
    if (sessionless) {
        await check(mode, 'without a session a change is previewed, then confirmed by its token', async () => {
            const preview = await put(key);
            expect(preview?.status === 'confirmation_required' && preview.confirmation_token, `got ${show(preview)}`);
            expect(!(await isStored(key)), 'stored before anybody agreed');
            const done = await put(key, { confirmation_token: preview.confirmation_token });
            expect(done?.status === 'done' && done.result?.memory?.content === 'agreed to', `got ${show(done)}`);
            const again = await put(key, { confirmation_token: preview.confirmation_token });
            expect(again?.replayed === true, `a second time: ${show(again)}`);
        });
        expect(asked.length === 0, 'was asked where nobody can be');
    } else {
        await check(mode, 'the user is asked, agrees, and it happens', async () => {
            answer = { action: 'accept', content: { confirm: true } };
            const done = await put(key);
            expect(done?.status === 'done' && done.result?.memory?.content === 'agreed to', `got ${show(done)}`);
            expect(asked.length === 1 && asked[0].includes('agreed to'), `was asked ${show(asked)}`);
            expect(await isStored(key), 'is not stored');
        });
        await check(mode, 'the user is asked, declines, and nothing happens', async () => {
            answer = { action: 'decline' };
            const declined = await put(`${key}-declined`);
            expect(declined?.status === 'declined', `got ${show(declined)}`);
            expect(!(await isStored(`${key}-declined`)), 'is stored all the same');
        });
    }
    await client.close();
}

/** Where the key wants a person's yes and the client cannot ask one, a person gives it in the console. */
async function checkHuman(mode, options) {
    const [way] = mode.split('-');
    const client = new Client({ name: 'footbridge-peer-check', version: '1' }, options);
    await client.connect(transportFor(way, FOOTBRIDGE_HUMAN_KEY));
    await client.listTools();
    const put = async (key) => (await client.callTool({ name: 'memory_put', arguments: { key, content: 'agreed to' } })).structuredContent;
    const isStored = async (key) => !(await client.callTool({ name: 'memory_get', arguments: { key } })).isError;
    const key = `human-typescript-${generation}-${mode}`;
    await check(mode, 'a person approves in the console, and the repeated call does it', async () => {
        const waiting = await put(key);
        expect(waiting?.status === 'pending_approval' && waiting.approve?.url && !waiting.confirmation_token, `got ${show(waiting)}`);
        expect((await put(key))?.status === 'pending_approval', 'ran before anybody agreed');
        const page = await answerInConsole(waiting.approve.url, 'approve');
        expect(page.includes('agreed to'), 'the page does not show what would happen');
        const done = await put(key);
        expect(done?.status === 'done' && done.result?.memory?.content === 'agreed to', `got ${show(done)}`);
    });
    await check(mode, 'a person declines in the console, and nothing happens', async () => {
        const waiting = await put(`${key}-declined`);
        await answerInConsole(waiting.approve.url, 'decline');
        const declined = await put(`${key}-declined`);
        expect(declined?.status === 'declined', `got ${show(declined)}`);
        expect(!(await isStored(`${key}-declined`)), 'is stored all the same');
    });
    await client.close();
}

for (const mode of modes) {
    const [way, kind] = mode.split('-');
    if (kind !== 'legacy' && sdk.negotiation === null) {
        console.log(`n/a   typescript ${version}  ${mode}  this SDK speaks the handshake era only`);
        continue;
    }
    const options = sdk.negotiation ? { versionNegotiation: { mode: sdk.negotiation[kind] } } : {};
    const client = new Client({ name: 'footbridge-peer-check', version: '1' }, options);
    const timer = setTimeout(() => {
        console.log(`FAIL  typescript ${version}  ${mode}  took more than ${MODE_TIMEOUT_MS / 1000} s`);
        process.exit(1);
    }, MODE_TIMEOUT_MS);
    let connected = false;
    await check(mode, 'connects', async () => {
        await client.connect(transportFor(way));
        connected = true;
    });
    // Our server serves both eras, so a host that tries the new one first gets it.
    if (connected) await checkAll(mode, kind === 'legacy' ? 'legacy' : 'modern', client);
    await client.close();
    if (connected) await check(mode, 'confirms and declines', () => checkConfirming(mode, options));
    if (connected) await check(mode, 'a person answers elsewhere', () => checkHuman(mode, options));
    if (connected && mode === 'direct-legacy') {
        await check(mode, 'confirms without a session', () => checkConfirming(mode, options, true));
    }
    clearTimeout(timer);
}
process.exit(failures > 0 ? 1 : 0);
