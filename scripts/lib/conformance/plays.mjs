// What a host does in each client scenario of the suite, and what it must see. Knows the suite's mock servers and the
// official client; knows nothing of the bridge in between but the variables that it is configured with.
//
// The suite judges what arrives at its server. It never sees what reaches the host, so the host checks that here.
import assert from 'node:assert/strict';

/** What a host says about itself where the scenario does not care. */
const PLAIN = { capabilities: {} };
/** The suite's fixed address of a client metadata document. It never fetches it. */
const CLIENT_METADATA_URL = 'https://conformance-test.local/client-metadata.json';

const preRegistered = (context) => ({ FOOTBRIDGE_CLIENT_ID: context.client_id, FOOTBRIDGE_CLIENT_SECRET: context.client_secret });

const textOf = (result) => result.content?.find((block) => block.type === 'text')?.text;

async function addNumbers(host) {
    const { tools } = await host.listTools();
    assert.deepEqual(tools.map((tool) => tool.name), ['add_numbers']);
    const result = await host.callTool({ name: 'add_numbers', arguments: { a: 2, b: 3 } });
    assert.match(textOf(result) ?? '', /\b5\b/, 'the sum did not come back');
}

/** The mock of `initialize` has no tools; its subject is the handshake. */
async function shakeHands(host) {
    assert.ok(host.getServerVersion()?.name, 'the server did not introduce itself');
    await host.listTools();
}

async function takeDefaults(host) {
    const { tools } = await host.listTools();
    assert.ok(tools.some((tool) => tool.name === 'test_client_elicitation_defaults'));
    const result = await host.callTool({ name: 'test_client_elicitation_defaults', arguments: {} });
    assert.ok(textOf(result)?.includes('John Doe'), `the answers did not reach the tool: ${textOf(result)}`);
}

async function outliveBrokenStream(host) {
    const { tools } = await host.listTools();
    assert.ok(tools.length > 0, 'no tool is listed');
    const result = await host.callTool({ name: tools[0].name, arguments: {} });
    assert.equal(textOf(result), 'Reconnection test completed successfully');
}

/** The connection made the corrective retry: version refused, the version that was offered taken. */
async function askAgain(host) {
    const { tools } = await host.listTools();
    assert.deepEqual(tools, []);
}

async function touchEverything(host) {
    const { tools } = await host.listTools();
    assert.deepEqual(tools.map((tool) => tool.name), ['test_headers', 'my-hyphenated-tool']);
    for (const { name } of tools) assert.equal(textOf(await host.callTool({ name, arguments: {} })), 'Headers test completed');
    const { resources } = await host.listResources();
    assert.equal(resources.length, 2);
    for (const { uri } of resources) assert.deepEqual((await host.readResource({ uri })).contents, []);
    const { prompts } = await host.listPrompts();
    assert.equal(prompts.length, 1);
    assert.deepEqual((await host.getPrompt({ name: prompts[0].name })).messages, []);
}

async function mirrorArguments(host, context) {
    const { tools } = await host.listTools();
    for (const call of context.toolCalls) {
        assert.ok(tools.some((tool) => tool.name === call.name), `${call.name} is not listed`);
        assert.equal(textOf(await host.callTool(call)), 'Custom headers test completed');
    }
}

/** Calls whatever is listed, so that a bad tool that slips through is seen at the server too. */
async function callWhatIsListed(host) {
    const { tools } = await host.listTools();
    for (const { name, inputSchema } of tools) {
        const values = { string: 'us-west1', object: {}, array: [], null: null };
        const fields = Object.entries(inputSchema.properties ?? {}).map(([field, { type }]) => [field, values[type]]);
        await host.callTool({ name, arguments: Object.fromEntries(fields) });
    }
    assert.deepEqual(tools.map((tool) => tool.name), ['valid_tool'], 'tools with an invalid x-mcp-header were listed');
}

async function keepReferences(host) {
    const { tools } = await host.listTools();
    const properties = tools.find((tool) => tool.name === 'lookup_user')?.inputSchema.properties;
    assert.equal(properties?.id?.$ref, '#/$defs/userId');
    assert.match(properties?.profile?.$ref ?? '', /^http:.*\/canary\//, 'the reference was replaced');
}

async function echoSchema(host) {
    const { tools } = await host.listTools();
    const focal = tools.find((tool) => tool.name === 'json_schema_2020_12_tool');
    assert.ok(focal, 'json_schema_2020_12_tool is not listed');
    await host.callTool({ name: 'json_schema_echo', arguments: { schema: focal.inputSchema } });
}

/** Between a question and its answer the host calls another tool, whose request must not carry any of it. */
async function answerQuestions(host) {
    let aside = true;
    host.setRequestHandler('elicitation/create', async () => {
        if (aside) {
            aside = false;
            assert.equal(textOf(await host.callTool({ name: 'test_mrtr_unrelated', arguments: {} })), 'unrelated-ok');
        }
        return { action: 'accept', content: { confirmed: true } };
    });
    assert.equal(textOf(await host.callTool({ name: 'test_mrtr_echo_state', arguments: {} })), 'echo-state-ok');
    assert.equal(textOf(await host.callTool({ name: 'test_mrtr_no_state', arguments: {} })), 'no-state-ok');
    // A result without a type is complete. This SDK refuses it in the 2026 revision, which then is the host's own word.
    const untyped = await host.callTool({ name: 'test_mrtr_no_result_type', arguments: {} }).catch((error) => error);
    const accepted = untyped.data?.violation === 'missing-resultType' || textOf(untyped) === 'no-result-type-test-ok';
    assert.ok(accepted, `a result without a type became ${untyped.message ?? JSON.stringify(untyped)}`);
}

async function callProtectedTool(host) {
    const { tools } = await host.listTools();
    assert.deepEqual(tools.map((tool) => tool.name), ['test-tool']);
    assert.equal(textOf(await host.callTool({ name: 'test-tool', arguments: {} })), 'test');
}

const form = { capabilities: { elicitation: { form: {} } } };

/** Scenario → `run(host, context)`, with what the host declares, and what must happen before it connects. */
const PLAYS = new Map([
    ['initialize', { run: shakeHands }],
    ['tools_call', { run: addNumbers }],
    [
        'elicitation-sep1034-client-defaults',
        {
            options: { capabilities: { elicitation: { form: { applyDefaults: true } } } },
            prepare: (host) => host.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: {} })),
            run: takeDefaults,
        },
    ],
    ['sse-retry', { run: outliveBrokenStream }],
    ['request-metadata', { options: { capabilities: { roots: {}, sampling: {}, ...form.capabilities } }, run: askAgain }],
    ['http-standard-headers', { run: touchEverything }],
    ['http-custom-headers', { run: mirrorArguments }],
    ['http-invalid-tool-headers', { run: callWhatIsListed }],
    ['json-schema-ref-no-deref', { run: keepReferences }],
    ['json-schema-2020-12-preservation', { run: echoSchema }],
    ['sep-2322-client-request-state', { options: form, run: answerQuestions }],
    ['auth/basic-cimd', { variables: () => ({ FOOTBRIDGE_CLIENT_METADATA_URL: CLIENT_METADATA_URL }) }],
    ['auth/pre-registration', { variables: preRegistered }],
    ['auth/client-credentials-basic', { variables: (context) => ({ ...preRegistered(context), FOOTBRIDGE_GRANT: 'client_credentials' }) }],
]);

/** The authorization server or its metadata cannot be trusted, or never grants enough: the host must read an error. */
const REFUSED = new Set([
    'auth/resource-mismatch',
    'auth/iss-supported-missing',
    'auth/iss-wrong-issuer',
    'auth/iss-unexpected',
    'auth/iss-normalized',
    'auth/metadata-issuer-mismatch',
    'auth/scope-retry-limit',
]);

/**
 * How the host behaves in a scenario.
 * @returns {{options: object, prepare: Function, run: Function, variables: Function, refused: boolean}}
 * @throws {Error} for a scenario that nobody has written a host for
 */
export function playOf(scenario) {
    const play = PLAYS.get(scenario) ?? {};
    const run = play.run ?? (scenario.startsWith('auth/') ? callProtectedTool : undefined);
    if (run === undefined) throw new Error(`no host is written for the scenario ${scenario}`);
    return { options: PLAIN, prepare: () => {}, variables: () => ({}), ...play, run, refused: REFUSED.has(scenario) };
}
