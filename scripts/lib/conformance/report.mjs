// Verdicts → a table for people, a block for README.md. Pure: takes values, gives text.

const BEGIN = '<!-- conformance:begin -->';
const END = '<!-- conformance:end -->';

const word = (passed) => (passed ? 'pass' : 'fail');

/** Counts over the required scenarios, the only ones a tier counts. */
export function figures(scenarios) {
    const required = scenarios.filter((each) => each.reason === null);
    return {
        required: required.length,
        suite: required.filter((each) => each.suite).length,
        strict: required.filter((each) => each.strict).length,
    };
}

/** One revision as a table: a row a scenario, totals at the foot. */
export function table(revision, scenarios, expected) {
    const rows = scenarios.map((each) => {
        const why = expected.get(each.name);
        const remarks = [
            each.reason === null ? '' : `not scored (${each.reason})${each.gated ? ', gated here' : ''}`,
            why && !each.strict ? `expected: ${why}` : '',
            why && each.strict ? 'on the expected list, but passes' : '',
        ];
        return [each.name, word(each.suite), word(each.strict), remarks.filter(Boolean).join('; ')];
    });
    const counts = figures(scenarios);
    rows.push([`required: ${counts.required}`, String(counts.suite), String(counts.strict), '']);
    const width = Math.max(...rows.map(([name]) => name.length), revision.length);
    const line = ([name, suite, strict, remark]) => `${name.padEnd(width)}  ${suite.padEnd(12)}  ${strict.padEnd(6)}  ${remark}`.trimEnd();
    return [line([revision, "suite's rule", 'strict', '']), ...rows.map(line)].join('\n');
}

/** The lines between the markers of README.md. */
export function readmeBlock(version, revisions) {
    const rows = revisions.map(({ revision, scenarios }) => {
        const counts = figures(scenarios);
        return `| ${revision} | ${counts.required} | ${counts.suite} | ${counts.strict} |`;
    });
    return [
        BEGIN,
        `| Official conformance suite ${version}, server | Required scenarios | Passed by the suite's rule | Passed without a single warning |`,
        '|---|---|---|---|',
        ...rows,
        END,
    ].join('\n');
}

/**
 * Replaces the marked block.
 * @throws {Error} when the markers are not there exactly once and in order
 */
export function replaceBlock(readme, block) {
    const [before, rest, ...more] = readme.split(BEGIN);
    const after = rest?.split(END);
    if (more.length > 0 || after?.length !== 2) throw new Error(`expected ${BEGIN} … ${END} exactly once`);
    return `${before}${block}${after[1]}`;
}
