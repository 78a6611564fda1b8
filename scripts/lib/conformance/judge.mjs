// From the checks the suite recorded for a scenario to our verdict on it. Pure: no files, no processes.
//
// Two rules stand side by side. `suite` is the suite's own tier rule: no failed check and at least one passed one.
// `strict`, which we gate on, also refuses warnings and scenarios in which nothing but the message shapes was checked.

/** Recorded in every scenario that exchanged a message, so it says nothing about the scenario's subject. */
const SHAPE_CHECK = 'wire-schema-valid';

/**
 * Judges one scenario.
 * @param {Array<{id: string, name: string, status: string, errorMessage?: string}> | null} checks null when the suite left no record
 * @returns {{suite: boolean, strict: boolean, problems: Array<{check: string, status: string, message: string}>}}
 *   the problems are what stands between the scenario and a strict pass; `check` is unique enough to search for
 */
export function judge(checks) {
    if (checks === null) {
        return { suite: false, strict: false, problems: [problem('scenario', 'FAILURE', 'the suite left no record of it')] };
    }
    const failed = checks.filter((check) => check.status === 'FAILURE');
    const warned = checks.filter((check) => check.status === 'WARNING');
    const passed = checks.filter((check) => check.status === 'SUCCESS');
    const onSubject = passed.filter((check) => check.id !== SHAPE_CHECK);
    const suite = failed.length === 0 && passed.length > 0;
    const problems = [...failed, ...warned].map((check) => problem(`${check.id} (${check.name})`, check.status, check.errorMessage ?? ''));
    if (problems.length === 0 && onSubject.length === 0) {
        problems.push(problem('scenario', 'SKIPPED', 'every check was skipped'));
    }
    return { suite, strict: problems.length === 0, problems };
}

function problem(check, status, message) {
    return { check, status, message };
}

/**
 * Reads a list of expected failures: `scenario<TAB>reason` a line, `#` starts a comment line.
 * @returns {Map<string, string>} scenario → reason
 * @throws {Error} on a line without a reason, or a scenario named twice
 */
export function parseExpected(text, name) {
    const expected = new Map();
    for (const [index, line] of text.split('\n').entries()) {
        if (line.trim() === '' || line.startsWith('#')) continue;
        const [scenario, reason, ...rest] = line.split('\t');
        if (!reason?.trim() || rest.length > 0) {
            throw new Error(`${name}:${index + 1}: expected "scenario<TAB>reason"`);
        }
        if (expected.has(scenario)) throw new Error(`${name}:${index + 1}: ${scenario} is listed twice`);
        expected.set(scenario, reason.trim());
    }
    return expected;
}

/**
 * Holds verdicts against the list of expected failures. Only gated scenarios can fail the gate.
 * @param {Array<{name: string, gated: boolean, strict: boolean}>} scenarios
 * @param {Map<string, string>} expected
 * @returns {{unexpected: string[], stale: string[], unknown: string[]}} all empty when the gate is open
 */
export function gate(scenarios, expected) {
    const gated = new Map(scenarios.filter((each) => each.gated).map((each) => [each.name, each]));
    return {
        unexpected: [...gated.values()].filter((each) => !each.strict && !expected.has(each.name)).map((each) => each.name),
        stale: [...expected.keys()].filter((name) => gated.get(name)?.strict),
        unknown: [...expected.keys()].filter((name) => !gated.has(name)),
    };
}
