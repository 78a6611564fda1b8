// Run by scripts/conformance bridge before it judges anybody; CONFORMANCE_TOOLS is what scripts/lib/node-tools printed.
// The leg must let a plain forwarder pass, and must find out a bridge that is dead and one that lies to the host.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const tools = process.env.CONFORMANCE_TOOLS;
const work = mkdtempSync(join(tmpdir(), 'conformance-'));
after(() => rmSync(work, { recursive: true, force: true }));

/** Runs the leg; returns its exit code, its summary and what it printed. */
function leg(bridge, bridgeArgs, ...options) {
    const fixed = ['--tools', tools, '--lists', work, '--output', work, '--bridge', bridge, '--bridge-args', bridgeArgs];
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(here, 'bridge.mjs'), ...fixed, ...options], { encoding: 'utf8' });
    const summary = status === 2 ? null : JSON.parse(readFileSync(join(work, 'summary.json'), 'utf8'));
    return { status, summary, output: stdout + stderr };
}

const control = (manner) => [process.execPath, `${join(here, 'control.mjs')} ${tools} {url} ${manner}`];
const SCENARIO = ['--scenario', 'tools_call'];

test('a plain forwarder passes, in the revision of the server and for a host that tries the new one first', () => {
    const { status, summary, output } = leg(...control('honest'), '--mode', 'same', '--mode', 'auto', ...SCENARIO);
    assert.equal(status, 0, output);
    assert.equal(summary.runs.length, 4);
    assert.match(output, /^same: 2 of 2 strict/m);
});

test('a bridge that alters an answer fails by what the host sees, though the suite is content', () => {
    const { status, summary } = leg(...control('lying'), '--mode', 'same', '--revision', '2026-07-28', ...SCENARIO);
    assert.equal(status, 1);
    const [scenario] = summary.runs[0].scenarios;
    assert.deepEqual([scenario.suite, scenario.strict], [true, false]);
    assert.match(scenario.problems[0].message, /the sum did not come back/);
});

test('a bridge that dies fails, and its refusal to speak is no refusal of a bad authorization server', () => {
    const { status, summary } = leg('false', '', '--mode', 'same', '--revision', '2026-07-28', ...SCENARIO, '--scenario', 'auth/resource-mismatch');
    assert.equal(status, 1);
    const hosts = summary.runs[0].scenarios.map(({ problems }) => problems.find(({ check }) => check === 'host')?.message);
    assert.ok(hosts.every(Boolean), JSON.stringify(summary.runs[0].scenarios));
});

test('an expected failure opens the gate until it passes', () => {
    const options = ['--mode', 'same', '--revision', '2026-07-28', ...SCENARIO];
    writeFileSync(join(work, 'same-2026-07-28.expected'), 'tools_call\tnothing is carried\n');
    assert.equal(leg('false', '', ...options).status, 0);
    const { status, output } = leg(...control('honest'), ...options);
    assert.equal(status, 1);
    assert.match(output, /these pass now, take them off/);
    rmSync(join(work, 'same-2026-07-28.expected'));
});

test('a word that is none is refused', () => {
    for (const options of [['--mode', 'sideways'], ['--revision', '2024-11-05'], ['--scenario', 'tools-call'], ['--jobs', 'many']]) {
        assert.equal(leg('false', '', ...options).status, 2, options.join(' '));
    }
});
