// Run by scripts/conformance before it judges anybody. Alone: node --test scripts/lib/conformance/report.test.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { figures, readmeBlock, replaceBlock, table } from './report.mjs';

const scenario = (name, suite, strict, reason = null) => ({ name, suite, strict, reason, gated: reason === null });
const SCENARIOS = [scenario('a', true, true), scenario('b', true, false), scenario('c', false, false), scenario('d', true, true, 'pending')];

test('figures count the required scenarios only', () => {
    assert.deepEqual(figures(SCENARIOS), { required: 3, suite: 2, strict: 1 });
});

test('the table has a row for each scenario, both verdicts, and why a failure is expected', () => {
    const rows = table('2026-07-28', SCENARIOS, new Map([['c', 'not served yet'], ['a', 'stale']])).split('\n');
    assert.match(rows[1], /^a +pass +pass +on the expected list, but passes$/);
    assert.match(rows[2], /^b +pass +fail$/);
    assert.match(rows[3], /^c +fail +fail +expected: not served yet$/);
    assert.match(rows[4], /^d +pass +pass +not scored \(pending\)$/);
    assert.match(rows[5], /^required: 3 +2 +1$/);
});

test('the block replaces what stood between the markers and touches nothing else', () => {
    const block = readmeBlock('1.2.3', [{ revision: '2026-07-28', scenarios: SCENARIOS }]);
    const [begin, end] = [block.split('\n')[0], block.split('\n').at(-1)];
    assert.equal(replaceBlock(`x\n${begin}\nold\n${end}\ny\n`, block), `x\n${block}\ny\n`);
    assert.ok(block.includes('| 2026-07-28 | 3 | 2 | 1 |'));
    for (const bad of ['', begin, end, `${end}${begin}`, `${begin}${end}${begin}${end}`]) {
        assert.throws(() => replaceBlock(bad, block), /exactly once/);
    }
});
