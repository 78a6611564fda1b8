// What scripts/conformance bridge does once everything is there: run each scenario, judge, print, compare, write.
// Exit code: 0 the gate is open, 1 it is not, 2 the command line or a list is wrong.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gate, judge, parseExpected } from './judge.mjs';
import { figures, table } from './report.mjs';
import { Suite } from './suite.mjs';

const REVISIONS = ['2025-11-25', '2026-07-28'];
/** Mode → the servers it makes sense before. A 2025 host before a 2025 server is `same`. */
const MODES = { same: REVISIONS, translated: ['2026-07-28'], auto: REVISIONS };
/** Not scored, but a bridge has what they ask for. The other unscored ones ask for features of a product or of a host. */
const GATED_BESIDE_REQUIRED = new Set(['json-schema-2020-12-preservation', 'auth/client-credentials-basic']);

const { values: options } = parseArgs({
    options: {
        tools: { type: 'string' },
        bridge: { type: 'string' },
        'bridge-args': { type: 'string', default: '' },
        lists: { type: 'string' },
        output: { type: 'string' },
        mode: { type: 'string', multiple: true, default: Object.keys(MODES) },
        revision: { type: 'string', multiple: true, default: REVISIONS },
        scenario: { type: 'string', multiple: true, default: [] },
        jobs: { type: 'string', default: '2' },
    },
});

function fail(message) {
    process.stderr.write(`conformance: ${message}\n`);
    process.exit(2);
}

/** Refuses words that are none of the known ones. */
function requireKnown(what, words, known) {
    const strangers = words.filter((word) => !known.includes(word));
    if (strangers.length > 0) fail(`unknown ${what} ${strangers.join(', ')}; there are ${known.join(', ')}`);
}

const listOf = (mode, revision) => join(options.lists, `${mode}-${revision}.expected`);

/** The expected failures of one mode and revision; no file means none. */
function readExpected(mode, revision) {
    const file = listOf(mode, revision);
    try {
        return existsSync(file) ? parseExpected(readFileSync(file, 'utf8'), file) : new Map();
    } catch (error) {
        return fail(error.message);
    }
}

/** Runs one scenario and judges it: the suite by what arrived at its server, the host by what arrived there. */
async function judgeScenario(suite, mode, revision, { name, reason }) {
    const directory = resolve(options.output, mode, revision, name);
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true });
    const driver = {
        tools: options.tools,
        bridge: options.bridge,
        args: options['bridge-args'].split(' ').filter(Boolean),
        host: mode,
        directory,
    };
    const command = [process.execPath, join(dirname(fileURLToPath(import.meta.url)), 'driver.mjs')].map((word) => `"${word}"`).join(' ');
    const { code, checks } = await suite.runClient(command, revision, name, directory, { CONFORMANCE_DRIVER: JSON.stringify(driver) });
    const verdict = judge(checks);
    const seen = join(directory, 'host.json');
    const problem = existsSync(seen) ? JSON.parse(readFileSync(seen, 'utf8')).problem : 'the host left no record: it hung or crashed';
    if (problem !== null) verdict.problems.unshift({ check: 'host', status: 'FAILURE', message: problem });
    if (code !== 0 && verdict.problems.length === 0) verdict.problems.push({ check: 'suite', status: 'FAILURE', message: `exit code ${code}` });
    const gated = reason === null || GATED_BESIDE_REQUIRED.has(name);
    return { name, reason, gated, ...verdict, strict: verdict.problems.length === 0 };
}

/** Runs `work` over `items`, so many at a time; the results are in the order of the items. */
async function inParallel(items, jobs, work) {
    const results = new Array(items.length);
    let next = 0;
    const worker = async () => {
        for (let index = next++; index < items.length; index = next++) results[index] = await work(items[index]);
    };
    await Promise.all(Array.from({ length: jobs }, worker));
    return results;
}

function printProblems({ mode, revision, scenarios, unexpected, stale, unknown }) {
    for (const name of unexpected) {
        console.log(`\n${mode} ${revision} ${name} fails (${join(options.output, mode, revision, name)}):`);
        for (const { check, status, message } of scenarios.find((each) => each.name === name).problems.slice(0, 5)) {
            console.log(`  ${status} ${check}: ${message.slice(0, 400)}`);
        }
    }
    const list = listOf(mode, revision);
    if (stale.length > 0) console.log(`\n${mode} ${revision}: these pass now, take them off ${list}:\n  ${stale.join(' ')}`);
    if (unknown.length > 0) console.log(`\n${mode} ${revision}: ${list} names scenarios that are none of this suite's gated ones:\n  ${unknown.join(' ')}`);
}

requireKnown('mode', options.mode, Object.keys(MODES));
requireKnown('revision', options.revision, REVISIONS);
if (!(Number(options.jobs) >= 1)) fail('--jobs takes a number, 1 or more');
const suite = new Suite(options.tools);
const scenariosOf = (revision) => suite.scenarios(revision, 'client').filter(({ name, reason }) => reason === null || GATED_BESIDE_REQUIRED.has(name));
requireKnown('scenario', options.scenario, [...new Set(REVISIONS.flatMap((revision) => scenariosOf(revision).map((each) => each.name)))].sort());

const runs = [];
for (const mode of options.mode) {
    for (const revision of MODES[mode].filter((each) => options.revision.includes(each))) {
        const all = scenariosOf(revision);
        const wanted = options.scenario.length > 0 ? all.filter((each) => options.scenario.includes(each.name)) : all;
        if (wanted.length === 0) continue;
        process.stderr.write(`${mode} ${revision}: ${wanted.length} scenarios\n`);
        const scenarios = await inParallel(wanted, Number(options.jobs), (each) => judgeScenario(suite, mode, revision, each));
        const expected = readExpected(mode, revision);
        // A part of the scenarios can say nothing about the rest of the list.
        const relevant = wanted === all ? expected : new Map([...expected].filter(([name]) => options.scenario.includes(name)));
        runs.push({ mode, revision, scenarios, expected: relevant, ...gate(scenarios, relevant) });
        console.log(`${table(`${mode} ${revision}`, scenarios, relevant)}\n`);
    }
}
for (const run of runs) printProblems(run);

console.log('');
for (const mode of options.mode) {
    const counts = runs.filter((run) => run.mode === mode).map((run) => figures(run.scenarios));
    const total = (name) => counts.reduce((sum, each) => sum + each[name], 0);
    console.log(`${mode}: ${total('strict')} of ${total('required')} strict (${total('suite')} by the suite's own rule)`);
}
const ok = runs.every((run) => run.unexpected.length + run.stale.length + run.unknown.length === 0);
const summary = {
    suite: suite.version,
    ok,
    runs: runs.map((run) => ({ ...run, figures: figures(run.scenarios), expected: Object.fromEntries(run.expected) })),
};
mkdirSync(options.output, { recursive: true });
writeFileSync(join(options.output, 'summary.json'), `${JSON.stringify(summary, null, 2)}\n`);
console.log(ok ? 'conformance: as expected' : 'conformance: NOT as expected');
process.exit(ok ? 0 : 1);
