// usage: node scripts/lib/openid/check.mjs    official SDK clients and a person of the console sign in at a real provider
//
// Reads FOOTBRIDGE_URL (the entrance for tokens), FOOTBRIDGE_BRIDGE (the bridge's program), OPENID_TTL (seconds that an
// access token lives), WORK (a directory for the bridge's homes) and PEER_PACKAGES. One line a check; exit code 1 if any
// failed. Each client is a new one: it registers, its person signs in for the first time, and nothing is prepared.
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { signIn } from './browser.mjs';

const { FOOTBRIDGE_URL, FOOTBRIDGE_BRIDGE, OPENID_TTL, PEER_PACKAGES, WORK } = process.env;
const require = createRequire(join(PEER_PACKAGES, 'package.json'));
const BROWSER = `${process.execPath} ${join(import.meta.dirname, 'browser.mjs')}`;
/** Nobody listens there: the code is read from the address that the browser was sent to. */
const REDIRECT = 'http://127.0.0.1:9/callback';

const SDKS = {
    'typescript 1': () => ({
        ...require('@modelcontextprotocol/sdk/client/index.js'),
        ...require('@modelcontextprotocol/sdk/client/streamableHttp.js'),
        ...require('@modelcontextprotocol/sdk/client/stdio.js'),
        ...require('@modelcontextprotocol/sdk/client/auth.js'),
    }),
    'typescript 2': () => ({ ...require('@modelcontextprotocol/client'), ...require('@modelcontextprotocol/client/stdio') }),
};

let failures = 0;
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

/** What an application hands to its SDK: memory instead of a disk, and a browser that fills in the forms. */
class Person {
    scopes = [];
    get redirectUrl() {
        return REDIRECT;
    }
    get clientMetadata() {
        return {
            client_name: 'footbridge oauth check',
            redirect_uris: [REDIRECT],
            grant_types: ['authorization_code', 'refresh_token'],
            response_types: ['code'],
            token_endpoint_auth_method: 'none',
            application_type: 'native',
        };
    }
    state = () => 'a-state';
    clientInformation = () => this.client;
    saveClientInformation = (client) => void (this.client = client);
    tokens = () => this.kept;
    saveTokens = (tokens) => void (this.kept = tokens);
    saveCodeVerifier = (verifier) => void (this.verifier = verifier);
    codeVerifier = () => this.verifier;
    async redirectToAuthorization(address) {
        this.scopes = (address.searchParams.get('scope') ?? '').split(' ');
        const back = new URL(await signIn(address.href));
        this.parameters = back.searchParams;
        this.code = back.searchParams.get('code');
        expect(this.code, `no code in ${back}`);
    }
}

async function direct(who) {
    const { Client, StreamableHTTPClientTransport } = SDKS[who]();
    const person = new Person();
    const connect = async () => {
        const client = new Client({ name: 'footbridge-oauth-check', version: '1' }, {});
        const transport = new StreamableHTTPClientTransport(new URL(FOOTBRIDGE_URL), { authProvider: person });
        try {
            await client.connect(transport);
        } catch (error) {
            if (!person.code) throw error;
            await transport.finishAuth(who === 'typescript 2' ? person.parameters : person.code);
            person.code = null;
            return connect();
        }
        return { client, transport };
    };
    let session;
    await check(who, 'discovers, registers, signs in and connects', async () => {
        session = await connect();
        expect(person.client?.client_id && person.kept?.access_token, 'without registering or without a token');
    });
    if (!session) return;
    const { client, transport } = session;
    const call = async (name, args) => {
        const answer = await client.callTool({ name, arguments: args });
        expect(!answer.isError, show(answer.content));
        return answer.structuredContent;
    };
    await check(who, 'asks for what the challenge names, and sees what that opens', async () => {
        expect(person.scopes.includes('memory.read') && !person.scopes.includes('memory.write'), `asked for ${person.scopes}`);
        const { tools } = await client.listTools();
        const names = tools.map((tool) => tool.name);
        expect(names.includes('memory_get') && !names.includes('memory_put'), show(names));
    });
    await check(who, 'steps up when a call needs more', async () => {
        const args = { key: `oauth-${who.replace(' ', '-')}`, content: 'kept after stepping up' };
        // Generation 1 refreshes whenever it can, also where only a new sign-in brings the scope; then it gives up.
        if (who === 'typescript 1') delete person.kept.refresh_token;
        const first = await call('memory_put', args).catch((error) => error);
        if (first instanceof Error) {
            expect(person.code, `no sign-in was asked for: ${first.message}`);
            await transport.finishAuth(who === 'typescript 2' ? person.parameters : person.code);
            person.code = null;
            await call('memory_put', args);
        }
        expect(person.scopes.includes('memory.write') && person.scopes.includes('search'), `asked for ${person.scopes}`);
    });
    await check(who, 'refreshes a token that has expired', async () => {
        const before = person.kept.access_token;
        await new Promise((resolve) => setTimeout(resolve, (Number(OPENID_TTL) + 1) * 1000));
        const { memory } = await call('memory_get', { key: `oauth-${who.replace(' ', '-')}` });
        expect(memory.content === 'kept after stepping up', show(memory));
        expect(person.kept.access_token !== before && !person.code, 'the token is the old one');
    });
    await client.close();
}

async function bridged(who, before) {
    const { Client, StdioClientTransport } = SDKS['typescript 1']();
    const home = join(WORK, who.replaceAll(' ', '-'));
    mkdirSync(home, { recursive: true });
    const env = { FOOTBRIDGE_URL, BROWSER, HOME: home, PATH: process.env.PATH, OPENID_LOGIN: 'grace' };
    await check(who, 'lists and calls', async () => {
        before?.(env);
        const client = new Client({ name: 'footbridge-oauth-check', version: '1' }, {});
        await client.connect(new StdioClientTransport({ command: FOOTBRIDGE_BRIDGE, env, stderr: 'inherit' }));
        const { tools } = await client.listTools();
        expect(tools.some((tool) => tool.name === 'search'), show(tools.map((tool) => tool.name)));
        const answer = await client.callTool({ name: 'search', arguments: { query: 'lighthouse keeper' } });
        expect(!answer.isError, show(answer.content));
        await client.close();
    });
}

async function consoleSignIn() {
    const jar = new Map();
    const open = async (address) => {
        const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
        const reply = await fetch(new URL(address, FOOTBRIDGE_URL), { redirect: 'manual', headers: { cookie } });
        for (const line of reply.headers.getSetCookie()) {
            const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
            if (/Max-Age=0/.test(line)) jar.delete(name);
            else jar.set(name, value);
        }
        return { status: reply.status, location: reply.headers.get('location'), text: await reply.text() };
    };
    let back;
    await check('console', 'signs a person in with address and groups', async () => {
        const sent = await open('/console/sign-in/provider?next=/console/settings');
        expect(sent.status === 303, `answered ${sent.status}`);
        back = await signIn(sent.location);
        const done = await open(back);
        expect(done.status === 303 && done.location === '/console/settings', `${done.status} ${done.text.slice(0, 300)}`);
        const { text } = await open('/console/settings');
        expect(text.includes('ada@example.test') && text.includes('staff'), 'the page does not show who it is');
    });
    await check('console', 'takes no answer twice', async () => {
        const again = await open(back);
        expect(again.status === 400, `answered ${again.status}`);
    });
}

await consoleSignIn();
for (const who of Object.keys(SDKS)) await direct(who);
await bridged('bridge, signed in on the way');
await bridged('bridge, after login', (env) => {
    const login = spawnSync(FOOTBRIDGE_BRIDGE, ['login'], { env, encoding: 'utf8', timeout: 60_000 });
    expect(login.status === 0, `login ended with ${login.status}: ${login.stderr}`);
    // What was kept is enough: no second browser.
    env.BROWSER = '/bin/false';
});
process.exit(failures > 0 ? 1 : 0);
