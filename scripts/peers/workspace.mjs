// usage: node scripts/peers/workspace.mjs    the workspace edition as a person with an assistant meets it
//
// The acceptance walk of the workspace edition, each line of it a check: a fresh server with the demo's data, the bridge as
// an assistant's configuration starts it, the official TypeScript SDK (generation 1, the handshake that desktop assistants
// speak, and generation 2) on top. Reads FOOTBRIDGE_SERVER and FOOTBRIDGE_BRIDGE (the programs) and PEER_PACKAGES (what
// scripts/lib/node-tools printed). One line a check; exit code 1 if any check failed.
//
// Some lines are proven over the whole catalogue where that is quicker, in server/tests/it: each scope lists exactly its
// tools, and no caller without its scope gets through (workspace::generated); no write without a yes changes a byte
// (workspace::generated, consent::everything, on both engines).
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';

import { Program, check, expect, failures, show } from './workspace/programs.mjs';

const { FOOTBRIDGE_SERVER, FOOTBRIDGE_BRIDGE, PEER_PACKAGES } = process.env;
if (process.argv.length > 2 || !FOOTBRIDGE_SERVER || !FOOTBRIDGE_BRIDGE || !PEER_PACKAGES) {
    process.stderr.write('usage: FOOTBRIDGE_SERVER=… FOOTBRIDGE_BRIDGE=… PEER_PACKAGES=… workspace.mjs\n');
    process.exit(2);
}
const require = createRequire(join(PEER_PACKAGES, 'package.json'));
const one = {
    ...require('@modelcontextprotocol/sdk/client/index.js'),
    ...require('@modelcontextprotocol/sdk/client/stdio.js'),
    ...require('@modelcontextprotocol/sdk/client/streamableHttp.js'),
    ElicitRequest: require('@modelcontextprotocol/sdk/types.js').ElicitRequestSchema,
};
const two = { ...require('@modelcontextprotocol/client'), ...require('@modelcontextprotocol/client/stdio') };

/** The safe scopes, and how many tools they list (catalogue of the edition). */
const SAFE = ['crm:read', 'conversations:read', 'tickets:read', 'knowledge:read', 'reports:read'];
const SAFE_TOOLS = 20;
const ALL = [...SAFE, 'crm:write', 'conversations:write', 'tickets:write', 'knowledge:write', 'flows:read', 'flows:trigger', 'admin:*'];
/** The variable that an existing installation has its key in. */
const KEY_NAME = 'HYDRA_API_KEY';
/** Assistants that start a program and do not expand variables, and the files of each below its home. */
const FILES = {
    'claude-desktop': ['.config', 'Claude', 'claude_desktop_config.json'],
    lmstudio: ['.lmstudio', 'mcp.json'],
    cline: ['.cline', 'data', 'settings', 'cline_mcp_settings.json'],
    junie: ['.junie', 'mcp', 'mcp.json'],
};
const PASSWORD = 'a bridge for every foot';
/** How long a running server may take to hear of a key that was revoked. */
const REVOKED_MS = 1_000;

const work = await mkdtemp(join(tmpdir(), 'footbridge-workspace-'));
const server = new Program(FOOTBRIDGE_SERVER, work);

/** Where the bridge could write, if it wrote: its home, its working directory and the folder for temporary files. */
const home = join(work, 'home');
await mkdir(home);
const nowhere = { HOME: home, TMPDIR: home, XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home, XDG_DATA_HOME: home };

const open = [];
/** The SDK's client behind the bridge, as an entry of an assistant's configuration starts it. */
async function throughBridge(sdk, { command, args, env }, options = {}, prepare = () => {}) {
    const client = new sdk.Client({ name: 'workspace-walk', version: '1' }, options);
    prepare(client);
    await client.connect(new sdk.StdioClientTransport({ command, args, env: { ...nowhere, ...env }, cwd: home }));
    open.push(client);
    return client;
}

const entryOf = (key, path = '/mcp') => ({ command: FOOTBRIDGE_BRIDGE, args: [], env: { FOOTBRIDGE_URL: server.base + path, FOOTBRIDGE_KEY: key } });

/** What a tool answers; the text of a refusal. Counts what was called, for the audit log. */
const called = new Map();
async function call(client, name, args = {}) {
    called.set(client, [...(called.get(client) ?? []), name]);
    const result = await client.callTool({ name, arguments: args });
    return result.isError ? { refused: result.content[0].text } : result.structuredContent;
}

async function answer(client, name, args) {
    const said = await call(client, name, args);
    expect(!said.refused, `${name} ${show(args)}: ${said.refused}`);
    return said;
}

/** Every id that a list tool shows, page by page. */
async function idsOf(client, name, args = {}) {
    const ids = [];
    let cursor;
    do {
        const page = await answer(client, name, { ...args, limit: 100, ...(cursor ? { cursor } : {}) });
        ids.push(...page.items.map((item) => item.id));
        cursor = page.next_cursor;
    } while (cursor);
    return ids;
}

const LISTS = [
    ['list_leads', 'get_lead'],
    ['list_contacts', 'get_contact'],
    ['list_accounts', 'get_account'],
    ['list_opportunities', 'get_opportunity'],
    ['list_conversations', 'get_conversation'],
    ['list_tickets', 'get_ticket'],
    ['list_knowledge_articles', 'get_knowledge_article'],
];

try {
    await writeFile(join(work, 'desk.toml'), await deskEdition(1));
    await writeFile(join(work, 'server.toml'), `[server]\neditions = ["workspace", "desk"]\ncatalogue = ["${join(work, 'desk.toml')}"]\n`);
    await check('the demo fills a workspace: 40 accounts, 300 tickets', async () => {
        const said = await server.run('demo', 'workspace');
        expect(/40 accounts/.test(said) && /300 tickets/.test(said), said);
    });
    await server.run('tenant', 'add', 'zeta');
    await server.run('user', 'add', 'owner@zeta.test', '--role', 'owner', '--tenant', 'zeta');
    await server.start();

    let minted;
    await check('a key with the five safe scopes is shown once', async () => {
        minted = await server.mint(SAFE, '--name', 'Claude Desktop');
        expect(/^hmcp_\w{49}$/.test(minted.key) && minted.name === 'Claude Desktop', `minted ${show(Object.keys(minted))}`);
        for (const look of [['key', 'show', minted.prefix], ['key', 'list']]) {
            const again = await server.run(...look, '--json');
            expect(again.includes(minted.prefix) && !again.includes(minted.key), `${look.join(' ')} shows the key`);
        }
    });
    await check('a member mints no admin scope; owner and admin do', async () => {
        for (const role of ['member', 'admin', 'owner']) {
            const email = `${role}@walk.test`;
            await server.run('user', 'add', email, '--role', role);
            await server.run({ FOOTBRIDGE_PASSWORD: PASSWORD }, 'user', 'password', email);
            const { token } = await server.post('/v1/login', { email, password: PASSWORD });
            for (const scope of ['admin:*', 'admin:members', 'admin:channels', 'admin:bots', 'admin:widgets']) {
                const said = await server.post('/v1/keys', { editions: ['workspace'], scopes: [scope], name: 'x' }, token);
                if (role === 'member') expect(said.status === 403 && said.error?.startsWith('admin access required'), `${scope}: ${show(said)}`);
                else expect(/^hmcp_/.test(said.key), `${role} ${scope}: ${show(said)}`);
            }
        }
    });

    let client, direct;
    await check('the entry that `setup` writes for Claude Desktop starts the bridge: 20 tools', async () => {
        const entry = await entryFrom('claude-desktop', minted.key);
        expect(entry.env[KEY_NAME] === minted.key && !entry.env.FOOTBRIDGE_KEY, `the key is in ${show(Object.keys(entry.env))}`);
        client = await throughBridge(one, entry);
        const { tools } = await client.listTools();
        expect(tools.length === SAFE_TOOLS, `listed ${tools.length}`);
        expect(tools.every((tool) => tool.annotations?.readOnlyHint === true), 'a tool that writes is among them');
    });
    await check('other assistants get the same entry, in files of their own', async () => {
        const first = show(await entryFrom('claude-desktop', minted.key));
        for (const assistant of Object.keys(FILES)) expect(show(await entryFrom(assistant, minted.key)) === first, `${assistant} gets another entry`);
    });
    await check('the same entry works in a client of the newer generation', async () => {
        const newer = await throughBridge(two, await entryFrom('claude-desktop', minted.key), { versionNegotiation: { mode: 'auto' } });
        expect((await newer.listTools()).tools.length === SAFE_TOOLS, 'lists another number of tools');
    });
    await check('`--key-env` on the command line names the variable as well', async () => {
        const { FOOTBRIDGE_URL } = entryOf('').env;
        const entry = { command: FOOTBRIDGE_BRIDGE, args: ['--key-env', KEY_NAME], env: { FOOTBRIDGE_URL, [KEY_NAME]: minted.key } };
        expect((await (await throughBridge(one, entry)).listTools()).tools.length === SAFE_TOOLS, 'lists another number of tools');
    });
    await check('without the bridge, over HTTP with the key, it is the same', async () => {
        direct = new one.Client({ name: 'workspace-walk', version: '1' });
        const requestInit = { headers: { Authorization: `Bearer ${minted.key}` } };
        await direct.connect(new one.StreamableHTTPClientTransport(new URL(`${server.base}/mcp`), { requestInit }));
        open.push(direct);
        expect((await direct.listTools()).tools.length === SAFE_TOOLS, 'lists another number of tools');
        expect((await answer(direct, 'list_leads', { limit: 1 })).items.length === 1, 'lists no lead');
    });

    await check('"List my newest leads."', async () => {
        const { items } = await answer(client, 'list_leads', { owner: 'me' });
        const made = items.map((item) => item.created_at);
        expect(items.length > 3 && show(made) === show(made.toSorted().toReversed()), `not the newest first: ${show(made)}`);
        expect(items.every((item) => item.owner === items[0].owner), 'leads of others are among them');
        const { items: all } = await answer(client, 'list_leads', { limit: 100 });
        const mine = all.filter((item) => item.owner === items[0].owner);
        expect(mine[0].id === items[0].id && all.length > mine.length, 'there is a newer one of mine, or nobody else has any');
    });
    await check('"Show me open tickets assigned to me."', async () => {
        const { items } = await answer(client, 'list_tickets', { status: ['open'], assignee: 'me' });
        expect(items.length > 0 && items.every((item) => item.status === 'open' && item.assignee === items[0].assignee), show(items));
    });
    await check('"Summarize the most recent conversation in the support channel."', async () => {
        const { items } = await answer(client, 'list_conversations', { channel: 'support', limit: 1 });
        const { items: all } = await answer(client, 'list_conversations', { limit: 100 });
        expect(all.every((other) => other.channel_id !== items[0].channel_id || other.last_message_at <= items[0].last_message_at), 'there is a newer one');
        const { conversation, messages } = await answer(client, 'get_conversation', { id: items[0].id });
        expect(conversation.id === items[0].id && messages.some((message) => message.body), `no messages: ${show(messages)}`);
    });
    await check('"Search the knowledge base for refund policy."', async () => {
        const { items } = await answer(client, 'search_knowledge', { query: 'refund policy' });
        expect(items[0]?.title === 'Refund policy', `first is ${show(items[0])}`);
    });
    await check('a missing scope is named', async () => {
        const { refused } = await call(client, 'create_ticket', { title: 'x' });
        expect(refused?.startsWith('403 Forbidden: missing scope tickets:write'), `got ${refused}`);
    });

    const full = await server.mint(ALL, '--rate-per-minute', '100000');
    await check('"Create a new lead": exactly its fields are shown, nothing is stored, then it is', async () => {
        const writer = await throughBridge(one, entryOf(full.key));
        const lead = { name: 'Grace Hopper', company: 'Compiler Corp', email: 'grace@compiler.test', value_cents: 250_000 };
        const asked = await answer(writer, 'create_lead', lead);
        expect(asked.status === 'confirmation_required', show(asked));
        const shown = new Map(asked.preview.changes.map((change) => [change.field, change.to]));
        for (const [field, value] of Object.entries(lead)) expect(shown.get(field) === value, `${field} is shown as ${shown.get(field)}`);
        const found = async () => (await answer(writer, 'list_leads', { q: 'compiler' })).items;
        expect((await found()).length === 0, 'it is stored before the yes');
        const done = await answer(writer, 'create_lead', { ...lead, confirmation_token: asked.confirmation_token });
        expect(done.status === 'done' && done.result.lead.name === lead.name, show(done));
        expect((await found()).length === 1, 'it is not stored after the yes');
    });
    await check('"Close that ticket": the assistant asks its user, a no changes nothing, a yes closes it', async () => {
        const asked = [];
        let reply = { action: 'decline' };
        const asks = (host) =>
            host.setRequestHandler(one.ElicitRequest, ({ params }) => {
                asked.push(params.message);
                return reply;
            });
        const writer = await throughBridge(one, entryOf(full.key), { capabilities: { elicitation: { form: {} } } }, asks);
        const [ticket] = (await answer(writer, 'list_tickets', { status: ['open'], limit: 1 })).items;
        const status = async () => (await answer(writer, 'get_ticket', { id: `#${ticket.number}` })).ticket.status;
        const close = { id: `#${ticket.number}`, resolution: 'Fixed in the export.' };
        const declined = await answer(writer, 'close_ticket', close);
        expect(declined.status === 'declined' && (await status()) === 'open', show(declined));
        expect(asked[0]?.includes(`#${ticket.number}`) && asked[0].includes('status'), `asked ${show(asked)}`);
        reply = { action: 'accept', content: { confirm: true, answer: 'yes' } };
        const done = await answer(writer, 'close_ticket', close);
        expect(done.status === 'done' && (await status()) === 'closed', show(done));
    });

    const stranger = await server.mint(ALL, '--tenant', 'zeta', '--rate-per-minute', '100000');
    await check('another workspace sees no record of this one, by list, search or id', async () => {
        const ours = await throughBridge(one, entryOf(full.key));
        const theirs = await throughBridge(one, entryOf(stranger.key));
        const lead = { name: 'Of zeta' };
        const asked = await answer(theirs, 'create_lead', lead);
        await answer(theirs, 'create_lead', { ...lead, confirmation_token: asked.confirmation_token });
        let seen = 0;
        for (const [list, get] of LISTS) {
            const foreign = await idsOf(ours, list);
            const own = new Set(await idsOf(theirs, list));
            expect(foreign.length > 0 && foreign.every((id) => !own.has(id)), `${list} shows ids of both`);
            for (const id of foreign) {
                const { refused } = await call(theirs, get, { id });
                expect(refused?.startsWith('404 Not Found: '), `${get} ${id}: ${refused}`);
                seen += 1;
            }
            for (const id of own) expect((await call(ours, get, { id })).refused?.startsWith('404 Not Found: '), `${get} ${id} of zeta`);
        }
        expect(seen > 500, `only ${seen} ids were tried`);
        expect((await answer(theirs, 'search_knowledge', { query: 'refund policy' })).items.length === 0, 'an article of ours is found');
        const rows = await server.audit('--tenant', 'zeta');
        expect(rows.length === called.get(theirs).length, `${called.get(theirs).length} calls, ${rows.length} rows in the audit log`);
    });
    await check('every call is in the audit log, with key, tool and time', async () => {
        const rows = (await server.audit()).filter((row) => row.key_prefix === minted.prefix && row.tool_name);
        const made = [...called].filter(([by]) => by === client || by === direct).flatMap(([, names]) => names);
        expect(show(rows.map((row) => row.tool_name).toSorted()) === show(made.toSorted()), `called ${show(made)}, logged ${show(rows.map((row) => row.tool_name))}`);
        expect(rows.every((row) => !Number.isNaN(Date.parse(row.ts))), 'a row has no time');
    });
    await check('the call after a monthly cap is told so', async () => {
        const capped = await server.mint(SAFE, '--monthly-cap', '3');
        const bounded = await throughBridge(one, entryOf(capped.key));
        for (let turn = 0; turn < 3; turn += 1) await answer(bounded, 'list_accounts', { limit: 1 });
        const error = await call(bounded, 'list_accounts', { limit: 1 }).catch((thrown) => thrown);
        expect(`${error.message ?? error.refused}`.includes('429 Too Many Requests: monthly cap 3 reached'), `got ${error.message ?? show(error)}`);
    });
    await check('a revoked key opens nothing, a second after', async () => {
        const doomed = await server.mint(SAFE);
        const bounded = await throughBridge(one, entryOf(doomed.key));
        await answer(bounded, 'list_accounts', { limit: 1 });
        await server.run('key', 'revoke', doomed.prefix);
        await new Promise((resolve) => setTimeout(resolve, REVOKED_MS));
        for (let turn = 0; turn < 3; turn += 1) {
            const error = await call(bounded, 'list_accounts', { limit: 1 }).catch((thrown) => thrown);
            expect(error instanceof Error && error.message.includes('401 Unauthorized'), `got ${error.message ?? show(error)}`);
        }
    });
    await check('a tool that is added on the server is there after reconnecting, with the same bridge', async () => {
        const key = (await server.mint(['crm:read'], '--edition', 'desk')).key;
        const names = async () => {
            const host = await throughBridge(one, entryOf(key, '/desk/mcp'));
            return (await host.listTools()).tools.map((tool) => tool.name);
        };
        expect(show(await names()) === '["list_leads"]', 'lists something else at first');
        await writeFile(join(work, 'desk.toml'), await deskEdition(2));
        server.reload();
        const deadline = Date.now() + 10_000;
        let listed = await names();
        while (listed.length < 2 && Date.now() < deadline) listed = await names();
        expect(show(listed) === '["list_leads","list_accounts"]', `lists ${show(listed)}`);
    });
    for (const [args, wanted] of [
        [['--key-env', KEY_NAME], `${KEY_NAME} env var is required`],
        [[], 'Set FOOTBRIDGE_KEY'],
    ]) {
        await check(`the bridge without a key: exit code 1, "${wanted}" on stderr, JSON-RPC alone on stdout`, async () => {
            const { FOOTBRIDGE_URL } = entryOf('').env;
            // Somebody without a key may sign in, and what is kept of that has its place: not in the home that must stay empty.
            const own = join(work, 'without-key');
            await mkdir(own, { recursive: true });
            const child = spawn(FOOTBRIDGE_BRIDGE, args, { cwd: own, env: { HOME: own, FOOTBRIDGE_URL } });
            let said = '';
            child.stderr.on('data', (chunk) => (said += chunk));
            const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'walk', version: '1' } };
            child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params })}\n`);
            const ended = new Promise((resolve) => child.on('close', resolve));
            const lines = [];
            for await (const line of createInterface({ input: child.stdout })) lines.push(JSON.parse(line));
            expect((await ended) === 1, `exit code ${await ended}`);
            expect(said.includes(wanted), `stderr: ${said}`);
            expect(lines.length === 1 && lines[0].id === 1 && lines[0].error, `stdout: ${show(lines)}`);
        });
    }
    await check('the bridge that cannot start says why on stderr, and nothing on stdout', async () => {
        const child = spawn(FOOTBRIDGE_BRIDGE, ['--no-such-option'], { cwd: home, env: nowhere });
        const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), new Promise((resolve) => child.on('close', resolve))]);
        expect(code === 2 && out === '' && err.includes('--no-such-option'), `exit code ${code}, stdout ${show(out)}, stderr ${show(err)}`);
    });
    for (const each of open) await each.close();
    await check('no bridge has written a file', async () => {
        const left = await readdir(home, { recursive: true });
        expect(left.length === 0, `left ${show(left)}`);
    });
} finally {
    await server.stop();
    await rm(work, { recursive: true, force: true });
}
process.exit(failures() > 0 ? 1 : 0);

async function text(stream) {
    let all = '';
    for await (const chunk of stream) all += chunk;
    return all;
}

/** The entry that `footbridge setup` writes for an assistant, in a home of its own: the key is in the variable of the name we want. */
async function entryFrom(assistant, key) {
    const folder = join(work, 'setup');
    const file = join(folder, ...FILES[assistant]);
    // Where the assistant keeps its file, which is how `setup` knows that it is here.
    await mkdir(dirname(file), { recursive: true });
    const { FOOTBRIDGE_URL } = entryOf('').env;
    const env = { ...process.env, HOME: folder, XDG_CONFIG_HOME: join(folder, '.config'), FOOTBRIDGE_URL, [KEY_NAME]: key };
    await new Program(FOOTBRIDGE_BRIDGE, folder).raw(env, 'setup', assistant, '--bridge', '--key-env', KEY_NAME, '--yes');
    return JSON.parse(await readFile(file, 'utf8')).mcpServers.footbridge;
}

/** An edition of an operator's own, with the first so many tools of two. */
async function deskEdition(count) {
    const tool = (name, handler) => `
[[tool]]
name = "${name}"
description = "Newest first."
scope = "crm:read"
effect = "read"
handler = "${handler}"
[tool.input]
limit = { type = "integer", minimum = 1, maximum = 100, default = 25 }
[tool.output]
type = "object"
[[tool.example]]
title = "All"
arguments = {}
`;
    const tools = [tool('list_leads', 'leads::list'), tool('list_accounts', 'accounts::list')];
    return `format = 1
[edition]
name = "desk"
title = "Desk"
instructions = "Two lists."
key_prefix = "desk_"
[scopes."crm:read"]
title = "Read"
${tools.slice(0, count).join('')}`;
}
