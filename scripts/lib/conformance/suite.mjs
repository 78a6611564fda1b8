// Runs the official suite and reads what it wrote. Knows its command line, its files and its requirement sets.
import { spawn } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';

const PACKAGE = join('node_modules', '@modelcontextprotocol', 'conformance');

/** Longest a scenario may take. The slowest honest one takes 2 s; a server that hangs costs this much per scenario. */
const SCENARIO_TIMEOUT_MS = 15_000;
/** The same where a client is under test, which gives up by itself after 20 s without an answer. */
const CLIENT_TIMEOUT_MS = 45_000;

export class Suite {
    /** @param {string} tools the directory scripts/lib/node-tools filled */
    constructor(tools) {
        this.program = join(tools, PACKAGE, 'dist', 'index.js');
        this.requirements = join(tools, PACKAGE, 'requirements');
        this.version = JSON.parse(readFileSync(join(tools, PACKAGE, 'package.json'), 'utf8')).version;
        this.yaml = createRequire(join(tools, 'package.json'))('yaml');
    }

    /**
     * Every scenario of a leg (`server` or `client`, after what is under test) run for a revision, in the suite's order:
     * `reason` is null for the required ones.
     */
    scenarios(revision, leg = 'server') {
        const set = this.yaml.parse(readFileSync(join(this.requirements, `${revision}.yaml`), 'utf8'));
        const unscored = (set.not_scored ?? []).filter((entry) => entry.leg === leg);
        return [
            ...set[leg].map((name) => ({ name, reason: null })),
            ...unscored.map((entry) => ({ name: entry.scenario, reason: entry.reason })),
        ];
    }

    /** Runs all scenarios of a revision; `onScenario(name)` is called as each one starts. */
    runAll(url, revision, directory, onScenario) {
        return this.#run(['--requirements', revision], url, directory, onScenario);
    }

    /** Runs one scenario at a revision's wire. */
    runOne(url, revision, scenario, directory) {
        return this.#run(['--scenario', scenario, '--spec-version', revision, '--force'], url, directory, () => {});
    }

    /** The checks recorded for a scenario, or null if there are none. */
    checks(directory, scenario) {
        // Directories are named server-SCENARIO-TIME, and one scenario's name may begin with another's.
        const found = readdirSync(directory).filter((name) => /^-\d{4}-\d\d-\d\dT[\d-]+Z$/.test(name.replace(`server-${scenario}`, '')));
        const file = found.length === 1 ? join(directory, found[0], 'checks.json') : '';
        return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : null;
    }

    /**
     * Runs one client scenario: the suite's mock server, and `command` (a shell's words) as its client.
     * @returns {Promise<{code: number, checks: object[] | null}>} the code is 0 only if nothing failed, nothing warned and
     *   the client was content; the checks are null when the suite left no record
     */
    async runClient(command, revision, scenario, directory, environment) {
        const selection = ['--scenario', scenario, '--spec-version', revision, '--force', '--timeout', String(CLIENT_TIMEOUT_MS)];
        const child = spawn(process.execPath, [this.program, 'client', '--command', command, '--output-dir', directory, ...selection], {
            stdio: ['ignore', 'pipe', 'pipe'],
            env: { ...process.env, ...environment },
        });
        const log = createWriteStream(join(directory, 'suite.log'));
        child.stdout.pipe(log, { end: false });
        child.stderr.pipe(log, { end: false });
        const code = await new Promise((resolve) => child.once('close', (status) => resolve(status ?? 1)));
        log.end();
        const record = readdirSync(directory, { recursive: true }).find((file) => basename(file) === 'checks.json');
        return { code, checks: record === undefined ? null : JSON.parse(readFileSync(join(directory, record), 'utf8')) };
    }

    async #run(selection, url, directory, onScenario) {
        rmSync(directory, { recursive: true, force: true });
        mkdirSync(directory, { recursive: true });
        const options = ['--url', url, '--output-dir', directory, '--timeout', String(SCENARIO_TIMEOUT_MS)];
        const child = spawn(process.execPath, [this.program, 'server', ...options, ...selection], { stdio: ['ignore', 'pipe', 'pipe'] });
        const log = createWriteStream(join(directory, 'suite.log'));
        child.stderr.pipe(log, { end: false });
        for await (const line of createInterface({ input: child.stdout })) {
            log.write(`${line}\n`);
            const started = /^=== Running scenario: (\S+) ===$/.exec(line);
            if (started) onScenario(started[1]);
        }
        // The exit code repeats the suite's own rule; the verdict is ours, from the files.
        if (child.exitCode === null && child.signalCode === null) await new Promise((resolve) => child.once('exit', resolve));
        log.end();
    }
}
