// Two official servers with the same four tools, each of one era only: the other sides of the crossings.
//
//   echo(text)   its text                       steps   three progress notifications, then "done"
//   ask          asks the user for a name       wait    until its call is cancelled
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
const none = { type: 'object', properties: {} };
const TOOLS = [
    { name: 'echo', description: 'Returns its text', inputSchema: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] } },
    { name: 'ask', description: 'Asks the user for a name', inputSchema: none },
    { name: 'steps', description: 'Reports progress three times', inputSchema: none },
    { name: 'wait', description: 'Waits until it is cancelled', inputSchema: none },
];
const QUESTION = { message: 'Who are you?', requestedSchema: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] } };

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

/** The tools, given how this era asks, notifies and cancels. */
async function run(params, seen, { ask, notify, signal }) {
    const { name, arguments: given, _meta } = params;
    seen[name] += 1;
    if (name === 'echo') return text(given.text);
    if (name === 'ask') return ask();
    if (name === 'steps') {
        for (let progress = 1; progress <= STEPS; progress += 1) {
            await notify({ method: 'notifications/progress', params: { progressToken: _meta?.progressToken, progress, total: STEPS } });
            await new Promise((resolve) => setTimeout(resolve, STEP_MS));
        }
        return text('done');
    }
    if (await cancelled(signal)) seen.cancelled += 1;
    return text('ended');
}

const counters = () => ({ echo: 0, ask: 0, steps: 0, wait: 0, answered: 0, cancelled: 0 });

/** The answer to the question: said once it is there, by whatever road it came. */
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
    const { Server, createMcpHandler, inputRequired, inputResponse } = require('@modelcontextprotocol/server');
    const seen = counters();
    const handler = createMcpHandler(
        () => {
            const server = new Server(IDENTITY, { capabilities: { tools: {} } });
            server.setRequestHandler('tools/list', () => ({ tools: TOOLS }));
            server.setRequestHandler('tools/call', ({ params }, { mcpReq }) => {
                const ask = () => {
                    const answer = inputResponse(mcpReq.inputResponses, 'name');
                    if (answer.kind === 'elicit') return greet(seen, answer);
                    return inputRequired({ inputRequests: { name: inputRequired.elicit(QUESTION) }, requestState: 'asked' });
                };
                // The SDK lifts the reserved keys out of `_meta`; the progress token stays.
                return run({ ...params, _meta: mcpReq._meta }, seen, { ask, notify: mcpReq.notify, signal: mcpReq.signal });
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
    const { CallToolRequestSchema, ElicitResultSchema, ListToolsRequestSchema } = require('@modelcontextprotocol/sdk/types.js');
    const seen = counters();
    const sessions = new Map();

    async function open() {
        const server = new Server(IDENTITY, { capabilities: { tools: {} } });
        server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: TOOLS }));
        server.setRequestHandler(CallToolRequestSchema, ({ params }, extra) => {
            const ask = async () =>
                greet(seen, await extra.sendRequest({ method: 'elicitation/create', params: { mode: 'form', ...QUESTION } }, ElicitResultSchema));
            return run(params, seen, { ask, notify: extra.sendNotification, signal: extra.signal });
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
    return { ...served, seen, sessions };
}
