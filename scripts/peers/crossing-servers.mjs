// Two official servers with the same tools and one resource, each of one era only: the other sides of the crossings.
//
//   echo(text)   its text                                  steps   three progress notifications, then "done"
//   ask          asks the user for a name                  wait    until its call is cancelled
//   ask_twice    for a name, then for an age               log     one log line, then "logged"
//   sample       asks the host's model, returns its text   touch   says that the tools and the resource have changed
//   roots        asks for the host's folders
//
// `seen` counts what reached the tools: a bridge may never run a call twice, and a cancellation must arrive.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { Readable } from 'node:stream';

/** Longest that `wait` waits for its cancellation; every check ends before that. */
const WAIT_MS = 15_000;
const STEPS = 3;
/** Between two steps, and before the answer: the SDKs forget a progress handler as soon as they have read the answer. */
const STEP_MS = 30;

const IDENTITY = { name: 'crossing', version: '1' };
const CAPABILITIES = { tools: { listChanged: true }, resources: { subscribe: true }, logging: {} };
const INVALID_PARAMS = -32602;

const none = { type: 'object', properties: {} };
const TOOLS = [
    { name: 'echo', description: 'Returns its text', inputSchema: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] } },
    { name: 'ask', description: 'Asks the user for a name', inputSchema: none },
    { name: 'ask_twice', description: 'Asks the user for a name and then for an age', inputSchema: none },
    { name: 'sample', description: "Asks the host's model", inputSchema: none },
    { name: 'roots', description: "Asks for the host's folders", inputSchema: none },
    { name: 'steps', description: 'Reports progress three times', inputSchema: none },
    { name: 'wait', description: 'Waits until it is cancelled', inputSchema: none },
    { name: 'log', description: 'Writes a log line', inputSchema: none },
    { name: 'touch', description: 'Says that the tools and the resource have changed', inputSchema: none },
];
export const TOOL_NAMES = TOOLS.map(({ name }) => name);
export const RESOURCE = { uri: 'note://1', name: 'note', mimeType: 'text/plain' };
const CONTENTS = { contents: [{ uri: RESOURCE.uri, mimeType: RESOURCE.mimeType, text: 'a note' }] };

const question = (message, field, type) => ({ message, requestedSchema: { type: 'object', properties: { [field]: { type } }, required: [field] } });
const NAME = question('Who are you?', 'name', 'string');
const AGE = question('How old are you?', 'age', 'integer');
const SAMPLE = { messages: [{ role: 'user', content: { type: 'text', text: 'Say hi' } }], maxTokens: 10 };

const text = (value) => ({ content: [{ type: 'text', text: value }] });

/** Resolves when the call is cancelled, or when nobody did. */
function cancelled(signal) {
    return new Promise((resolve) => {
        const timer = setTimeout(() => resolve(false), WAIT_MS);
        timer.unref();
        const end = () => {
            clearTimeout(timer);
            resolve(true);
        };
        if (signal.aborted) end();
        signal.addEventListener('abort', end);
    });
}

/**
 * The tools that need nothing of the host but its ear. `era` has what differs: `signal`, `notify(notification)`,
 * `log(data)` and `touched()`.
 */
async function run({ name, arguments: given, _meta }, seen, era) {
    if (name === 'echo') return text(given.text);
    if (name === 'steps') {
        for (let progress = 1; progress <= STEPS; progress += 1) {
            await era.notify({ method: 'notifications/progress', params: { progressToken: _meta?.progressToken, progress, total: STEPS } });
            await new Promise((resolve) => setTimeout(resolve, STEP_MS));
        }
        return text('done');
    }
    if (name === 'log') {
        await era.log('noted');
        return text('logged');
    }
    if (name === 'touch') {
        await era.touched();
        return text('touched');
    }
    if (await cancelled(era.signal)) seen.cancelled += 1;
    return text('ended');
}

const counters = () => ({ ...Object.fromEntries(TOOL_NAMES.map((name) => [name, 0])), answered: 0, cancelled: 0 });

/** What an answer says, once it is there, by whatever road it came. */
function greet(seen, { action, content }) {
    seen.answered += 1;
    return text(action === 'accept' ? `Hello, ${content?.name}!` : `nobody: ${action}`);
}

async function listen(handle) {
    const http = createServer((request, response) => {
        handle(request, response).catch((error) => {
            process.stderr.write(`crossing server: ${error.stack}\n`);
            response.destroy();
        });
    });
    await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
    return { url: `http://127.0.0.1:${http.address().port}/mcp`, close: () => http.closeAllConnections() ?? http.close() };
}

async function bodyOf(request) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    return Buffer.concat(chunks);
}

/** The 2026 revision only: SDK 2, told to refuse everything older. */
export async function modernOnly(require) {
    const { ProtocolError, Server, createMcpHandler, inputRequired, inputResponse } = require('@modelcontextprotocol/server');
    const seen = counters();

    /** The tools that ask: each round either has what it needs, or says what that is. */
    const ASKING = {
        ask: (answers) => {
            const answer = inputResponse(answers, 'name');
            if (answer.kind === 'elicit') return greet(seen, answer);
            return inputRequired({ inputRequests: { name: inputRequired.elicit(NAME) }, requestState: 'asked' });
        },
        ask_twice: (answers, state) => {
            const [name, age] = [inputResponse(answers, 'name'), inputResponse(answers, 'age')];
            if (age.kind === 'elicit') return text(`${state} is ${age.content?.age}`);
            if (name.kind !== 'elicit') return inputRequired({ inputRequests: { name: inputRequired.elicit(NAME) } });
            return inputRequired({ inputRequests: { age: inputRequired.elicit(AGE) }, requestState: name.content?.name });
        },
        sample: (answers) => {
            const answer = inputResponse(answers, 'sample');
            if (answer.kind === 'sampling') return text(`sampled: ${answer.result.content.text}`);
            return inputRequired({ inputRequests: { sample: inputRequired.createMessage(SAMPLE) } });
        },
        roots: (answers) => {
            const answer = inputResponse(answers, 'roots');
            if (answer.kind === 'roots') return text(answer.roots.map(({ uri }) => uri).join());
            return inputRequired({ inputRequests: { roots: inputRequired.listRoots() } });
        },
    };

    const handler = createMcpHandler(
        () => {
            const server = new Server(IDENTITY, { capabilities: CAPABILITIES });
            server.setRequestHandler('tools/list', () => ({ tools: TOOLS }));
            server.setRequestHandler('resources/list', () => ({ resources: [RESOURCE] }));
            server.setRequestHandler('resources/read', () => CONTENTS);
            server.setRequestHandler('tools/call', ({ params }, { mcpReq }) => {
                if (!TOOL_NAMES.includes(params.name)) throw new ProtocolError(INVALID_PARAMS, `Unknown tool: ${params.name}`);
                seen[params.name] += 1;
                const asking = ASKING[params.name];
                if (asking) return asking(mcpReq.inputResponses, mcpReq.requestState());
                const era = {
                    signal: mcpReq.signal,
                    notify: mcpReq.notify,
                    log: (data) => mcpReq.log('info', data),
                    touched: () => {
                        handler.notify.toolsChanged();
                        handler.notify.resourceUpdated(RESOURCE.uri);
                    },
                };
                // The SDK lifts the reserved keys out of `_meta`; the progress token stays.
                return run({ ...params, _meta: mcpReq._meta }, seen, era);
            });
            return server;
        },
        { legacy: 'reject' },
    );
    const served = await listen(async (request, response) => {
        const gone = new AbortController();
        response.on('close', () => gone.abort());
        const body = request.method === 'POST' ? await bodyOf(request) : undefined;
        const reply = await handler.fetch(
            new Request(`http://127.0.0.1${request.url}`, { method: request.method, headers: request.headers, body, signal: gone.signal }),
        );
        response.writeHead(reply.status, Object.fromEntries(reply.headers));
        response.flushHeaders();
        if (reply.body) Readable.fromWeb(reply.body).on('error', () => response.destroy()).pipe(response);
        else response.end();
    });
    return { ...served, seen };
}

/** The handshake era only: SDK 1, with sessions. */
export async function legacyOnly(require) {
    const { Server } = require('@modelcontextprotocol/sdk/server/index.js');
    const { StreamableHTTPServerTransport } = require('@modelcontextprotocol/sdk/server/streamableHttp.js');
    const schemas = require('@modelcontextprotocol/sdk/types.js');
    const seen = counters();
    const sessions = new Map();

    async function open() {
        const server = new Server(IDENTITY, { capabilities: CAPABILITIES });
        const subscribed = new Set();
        server.setRequestHandler(schemas.ListToolsRequestSchema, () => ({ tools: TOOLS }));
        server.setRequestHandler(schemas.ListResourcesRequestSchema, () => ({ resources: [RESOURCE] }));
        server.setRequestHandler(schemas.ReadResourceRequestSchema, () => CONTENTS);
        server.setRequestHandler(schemas.SubscribeRequestSchema, ({ params }) => {
            subscribed.add(params.uri);
            return {};
        });
        server.setRequestHandler(schemas.UnsubscribeRequestSchema, ({ params }) => {
            subscribed.delete(params.uri);
            return {};
        });
        server.setRequestHandler(schemas.CallToolRequestSchema, async ({ params }, extra) => {
            if (!TOOL_NAMES.includes(params.name)) throw new schemas.McpError(INVALID_PARAMS, `Unknown tool: ${params.name}`);
            seen[params.name] += 1;
            // A question ends with its call.
            const ask = (request, schema) => extra.sendRequest(request, schema, { signal: extra.signal });
            const elicit = (form) => ask({ method: 'elicitation/create', params: { mode: 'form', ...form } }, schemas.ElicitResultSchema);
            switch (params.name) {
                case 'ask':
                    return greet(seen, await elicit(NAME));
                case 'ask_twice': {
                    const { content } = await elicit(NAME);
                    return text(`${content?.name} is ${(await elicit(AGE)).content?.age}`);
                }
                case 'sample': {
                    const result = await ask({ method: 'sampling/createMessage', params: SAMPLE }, schemas.CreateMessageResultSchema);
                    return text(`sampled: ${result.content.text}`);
                }
                case 'roots': {
                    const { roots } = await ask({ method: 'roots/list' }, schemas.ListRootsResultSchema);
                    return text(roots.map(({ uri }) => uri).join());
                }
                default:
                    return run(params, seen, {
                        signal: extra.signal,
                        notify: extra.sendNotification,
                        log: (data) => extra.sendNotification({ method: 'notifications/message', params: { level: 'info', data } }),
                        touched: async () => {
                            await server.sendToolListChanged();
                            if (subscribed.has(RESOURCE.uri)) await server.sendResourceUpdated({ uri: RESOURCE.uri });
                        },
                    });
            }
        });
        const transport = new StreamableHTTPServerTransport({
            sessionIdGenerator: randomUUID,
            onsessioninitialized: (id) => sessions.set(id, transport),
        });
        await server.connect(transport);
        return transport;
    }

    const served = await listen(async (request, response) => {
        const transport = sessions.get(request.headers['mcp-session-id']) ?? (await open());
        await transport.handleRequest(request, response);
    });
    return { ...served, seen };
}
