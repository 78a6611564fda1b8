// What the walk through the workspace edition needs of programs: our server's command line and its running process, and
// checks that print a line each.
import { execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** More rows than the walk makes calls. */
const AUDIT_ROWS = 5_000;
/** Ten times as long as the server may keep a row. */
const AUDIT_SETTLES_MS = 200;
const START_MS = 20_000;

let failed = 0;
export const failures = () => failed;

/** Runs one check and prints its line; a later check still runs when an earlier one failed. */
export async function check(what, walk) {
    try {
        await walk();
        console.log(`ok    workspace  ${what}`);
    } catch (error) {
        failed += 1;
        console.log(`FAIL  workspace  ${what}: ${error.message}`);
    }
}

export function expect(condition, message) {
    if (!condition) throw new Error(message);
}

export const show = (value) => JSON.stringify(value)?.slice(0, 300);

/** One of our programs over a folder of its own. */
export class Program {
    constructor(path, folder) {
        this.path = path;
        this.folder = folder;
    }

    /** Runs a command to its end with exactly this environment; gives its stdout. */
    async raw(env, ...args) {
        const { stdout } = await run(this.path, args, { env, cwd: this.folder, maxBuffer: 64 * 1024 * 1024 });
        return stdout;
    }

    /** Runs a command of the server over its data; a first object is environment besides. */
    async run(...args) {
        const more = typeof args[0] === 'object' ? args.shift() : {};
        return this.raw({ ...process.env, ...more }, ...args, ...this.place());
    }

    place() {
        return ['--data', `${this.folder}/data`, '--config', `${this.folder}/server.toml`];
    }

    /** Mints a key; of the workspace edition unless an option names another. */
    async mint(scopes, ...options) {
        const edition = options.includes('--edition') ? [] : ['--edition', 'workspace'];
        return JSON.parse(await this.run('key', 'mint', ...edition, '--scopes', scopes.join(','), ...options, '--json'));
    }

    /** The rows of the log of calls. Those of reads are committed together, a moment after their calls: once no more come. */
    async audit(...options) {
        let rows = [];
        for (let before = -1; rows.length !== before; ) {
            before = rows.length;
            await sleep(AUDIT_SETTLES_MS);
            const lines = await this.run('audit', '--limit', `${AUDIT_ROWS}`, ...options, '--json');
            rows = lines.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line).row);
        }
        return rows;
    }

    /** Starts the server on a free port. */
    async start() {
        this.child = spawn(this.path, ['serve', '--listen', '127.0.0.1:0', ...this.place()], { stdio: ['ignore', 'pipe', 'pipe'] });
        this.log = '';
        this.child.stderr.on('data', (chunk) => (this.log += chunk));
        const timer = setTimeout(() => this.child.kill('SIGKILL'), START_MS);
        for await (const line of createInterface({ input: this.child.stdout })) {
            this.base ??= line.match(/(http:\/\/127\.0\.0\.1:\d+)\//)?.[1];
            if (this.base) break;
        }
        clearTimeout(timer);
        if (!this.base) throw new Error(`the server did not start: ${this.log}`);
        this.child.stdout.resume();
    }

    /** Has the running server read its catalogue again. */
    reload() {
        this.child.kill('SIGHUP');
    }

    async stop() {
        if (!this.child || this.child.exitCode !== null) return;
        const ended = new Promise((resolve) => this.child.on('close', resolve));
        this.child.kill('SIGTERM');
        await ended;
    }

    /** A request to the REST side as somebody signed in; gives the body, with the status in it when it is a refusal. */
    async post(path, body, token) {
        const headers = { 'Content-Type': 'application/json', ...(token ? { Authorization: `Bearer ${token}` } : {}) };
        const reply = await fetch(this.base + path, { method: 'POST', headers, body: JSON.stringify(body), signal: AbortSignal.timeout(START_MS) });
        const said = await reply.json();
        return reply.ok ? said : { status: reply.status, ...said };
    }
}
