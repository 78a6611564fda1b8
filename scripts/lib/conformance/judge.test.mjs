// Run by scripts/conformance before it judges anybody. Alone: node --test scripts/lib/conformance/judge.test.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gate, judge, parseExpected } from './judge.mjs';

const check = (status, id = 'subject') => ({ id, name: id, status, errorMessage: `${id} said ${status}` });

const VERDICTS = [
    // what the suite recorded, its own rule, ours
    [[check('SUCCESS')], true, true],
    [[check('SUCCESS'), check('INFO'), check('SKIPPED')], true, true],
    [[check('SUCCESS'), check('WARNING')], true, false],
    [[check('SUCCESS'), check('FAILURE')], false, false],
    [[check('FAILURE')], false, false],
    [[check('SKIPPED')], false, false],
    [[check('INFO')], false, false],
    [[check('SKIPPED'), check('SUCCESS', 'wire-schema-valid')], true, false],
    [[check('SUCCESS'), check('FAILURE', 'wire-schema-valid')], false, false],
    [[], false, false],
    [null, false, false],
];

for (const [checks, suite, strict] of VERDICTS) {
    const title = checks === null ? 'no record' : checks.map((each) => `${each.id} ${each.status}`).join(', ') || 'no checks';
    test(title, () => {
        const verdict = judge(checks);
        assert.deepEqual([verdict.suite, verdict.strict], [suite, strict]);
        assert.equal(verdict.problems.length === 0, strict, 'a strict failure names a problem, a pass names none');
    });
}

test('the list takes comments and blank lines, and one reason a scenario', () => {
    const expected = parseExpected('# why\n\nprompts-list\tprompts are not served\n', 'list');
    assert.deepEqual([...expected], [['prompts-list', 'prompts are not served']]);
    for (const bad of ['prompts-list', 'prompts-list\t ', 'a\tb\tc', 'a\tb\na\tc']) {
        assert.throws(() => parseExpected(bad, 'list'), /^Error: list:\d/);
    }
});

test('the gate names unexpected failures, stale entries and unknown names', () => {
    const scenario = (name, strict, gated = true) => ({ name, strict, gated });
    const scenarios = [scenario('a', true), scenario('b', false), scenario('c', false), scenario('d', true), scenario('e', false, false)];
    const expected = new Map([['c', 'r'], ['d', 'r'], ['x', 'r']]);
    assert.deepEqual(gate(scenarios, expected), { unexpected: ['b'], stale: ['d'], unknown: ['x'] });
    assert.deepEqual(gate([scenario('a', true)], new Map()), { unexpected: [], stale: [], unknown: [] });
});
