// usage: node browser.mjs [WORD...] ADDRESS    a browser without a screen, for the conformance suite's sign-in pages
//
// The suite's authorization server answers its page with an immediate redirect, as for somebody who is signed in and has
// said yes before. So one GET and the redirects after it are all that a browser has to do. What it did is noted in
// $HOME/browser.log, beside the other files of the scenario.
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';

/** A bridge may open the browser before it listens for the callback. */
const CALLBACK_PATIENCE_MS = 15_000;
const RETRY_MS = 100;
const REDIRECTS = 5;

const note = (text) => appendFileSync(join(process.env.HOME ?? '.', 'browser.log'), `${text}\n`);

/** One GET that does not follow, tried again as long as nobody listens. */
async function get(address) {
    const deadline = Date.now() + CALLBACK_PATIENCE_MS;
    for (;;) {
        try {
            return await fetch(address, { redirect: 'manual' });
        } catch (error) {
            if (error.cause?.code !== 'ECONNREFUSED' || Date.now() > deadline) throw error;
            await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        }
    }
}

// Some openers take words first: `gio open ADDRESS`.
let address = process.argv.slice(2).find((word) => /^https?:/.test(word));
if (address === undefined) {
    process.stderr.write('browser: no http address among the arguments\n');
    process.exit(2);
}
try {
    for (let hops = 0; hops <= REDIRECTS; hops += 1) {
        const reply = await get(address);
        note(`GET ${address} -> ${reply.status}`);
        const next = reply.headers.get('location');
        if (next === null) process.exit(reply.status < 400 ? 0 : 1);
        await reply.body?.cancel();
        address = new URL(next, address).href;
    }
    note('too many redirects');
} catch (error) {
    note(`GET ${address} failed: ${error.cause?.message ?? error.message}`);
}
process.exit(1);
