// What scripts/conformance does once a server answers: run the suite, judge, print, write.
// Exit code: 0 every scenario passes, 1 one does not, 2 the command line is wrong.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { gate, judge } from './judge.mjs';
import { figures, readmeBlock, replaceBlock, table } from './report.mjs';
import { Suite } from './suite.mjs';

const REVISIONS = ['2025-11-25', '2026-07-28'];

/** The suite skips all of it, whatever the server does: its check waits to be rewritten there. */
const ALWAYS_SKIPPED = new Set(['tasks-status-notifications']);

/** Nothing is expected to fail. */
const NOTHING = new Map();

/** Longest wait for the first reply of a server that already accepts connections. */
const FIRST_ANSWER_MS = 10_000;

const { values: options } = parseArgs({
    options: {
        tools: { type: 'string' },
        url: { type: 'string' },
        output: { type: 'string' },
        revision: { type: 'string', multiple: true, default: REVISIONS },
        scenario: { type: 'string', multiple: true, default: [] },
        readme: { type: 'string' },
    },
});

function fail(message) {
    process.stderr.write(`conformance: ${message}\n`);
    process.exit(2);
}

/**
 * Ends the run at once when nothing answers HTTP at `url`. The suite would wait out its time limit in every scenario.
 * Any status will do: what the server says is the suite's business.
 */
async function requireAnswer(url) {
    const headers = { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream' };
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' });
    try {
        await (await fetch(url, { method: 'POST', headers, body, signal: AbortSignal.timeout(FIRST_ANSWER_MS) })).body?.cancel();
    } catch (error) {
        fail(`${url} does not answer: ${error.cause?.message ?? error.message}`);
    }
}

/** Progress goes to stderr: one line that rewrites itself on a terminal, nothing in a log. */
function progress(text) {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

async function judgeRevision(suite, revision) {
    const all = suite.scenarios(revision);
    const wanted = options.scenario.length > 0 ? all.filter((each) => options.scenario.includes(each.name)) : all;
    const directory = join(options.output, revision);
    const directoryOf = (name) => (options.scenario.length > 0 ? join(directory, name) : directory);
    if (options.scenario.length > 0) {
        for (const { name } of wanted) await suite.runOne(options.url, revision, name, directoryOf(name));
    } else {
        process.stderr.write(process.stderr.isTTY ? '' : `${revision}: ${all.length} scenarios\n`);
        let count = 0;
        await suite.runAll(options.url, revision, directory, (name) => progress(`${revision}  ${(count += 1)}/${all.length}  ${name}`));
        progress('');
    }
    return wanted.map(({ name, reason }) => ({
        name,
        reason,
        gated: !ALWAYS_SKIPPED.has(name),
        ...judge(suite.checks(directoryOf(name), name)),
    }));
}

function printProblems(revision, scenarios, { unexpected }) {
    for (const name of unexpected) {
        console.log(`\n${revision} ${name} fails:`);
        for (const { check, status, message } of scenarios.find((each) => each.name === name).problems.slice(0, 5)) {
            console.log(`  ${status} ${check}: ${message.slice(0, 400)}`);
        }
    }
}

const suite = new Suite(options.tools);
const strangers = options.revision.filter((revision) => !REVISIONS.includes(revision));
if (strangers.length > 0) fail(`unknown revision ${strangers.join(', ')}; there are ${REVISIONS.join(' and ')}`);
const known = new Set(REVISIONS.flatMap((revision) => suite.scenarios(revision).map((each) => each.name)));
const misspelt = options.scenario.filter((name) => !known.has(name));
if (misspelt.length > 0) fail(`unknown scenario ${misspelt.join(', ')}; there are ${[...known].sort().join(', ')}`);
await requireAnswer(options.url);

const revisions = [];
for (const revision of options.revision) {
    const scenarios = await judgeRevision(suite, revision);
    if (scenarios.length === 0) continue;
    revisions.push({ revision, scenarios, ...gate(scenarios, NOTHING) });
    console.log(`${table(revision, scenarios, NOTHING)}\n`);
}
for (const each of revisions) printProblems(each.revision, each.scenarios, each);

const ok = revisions.every((each) => each.unexpected.length === 0);
mkdirSync(options.output, { recursive: true });
const summary = {
    suite: suite.version,
    ok,
    revisions: revisions.map((each) => ({ ...each, figures: figures(each.scenarios) })),
};
writeFileSync(join(options.output, 'summary.json'), `${JSON.stringify(summary, null, 2)}\n`);

if (options.readme) {
    const readme = readFileSync(options.readme, 'utf8');
    try {
        writeFileSync(options.readme, replaceBlock(readme, readmeBlock(suite.version, revisions)));
    } catch (error) {
        fail(`${options.readme}: ${error.message}`);
    }
}
console.log(ok ? 'conformance: every scenario passes' : 'conformance: NOT every scenario passes');
process.exit(ok ? 0 : 1);
