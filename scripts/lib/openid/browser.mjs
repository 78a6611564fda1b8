#!/usr/bin/env node
// usage: browser.mjs ADDRESS    a browser without a screen: signs in at scripts/lib/openid/provider.mjs and says yes
//
// Follows redirects with a cookie jar, fills in the one form of each page (OPENID_LOGIN is the name, `ada` without it)
// and stops at the first address that is not the provider's, which it visits: the client waits there.
const FORMS = 10;
const login = process.env.OPENID_LOGIN ?? 'ada';

/** The end of a walk through the provider's pages: the address it sent the browser back to. */
export async function signIn(start) {
    const jar = new Map();
    const home = new URL(start).origin;
    let [address, form] = [start, null];
    for (let step = 0; step < FORMS * 4; step += 1) {
        if (new URL(address).origin !== home) return address;
        const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
        const reply = await fetch(address, {
            method: form ? 'POST' : 'GET',
            redirect: 'manual',
            headers: { cookie, ...(form && { 'content-type': 'application/x-www-form-urlencoded' }) },
            body: form ?? undefined,
        });
        for (const line of reply.headers.getSetCookie()) {
            const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
            if (value === '') jar.delete(name);
            else jar.set(name, value);
        }
        const text = await reply.text();
        const next = reply.headers.get('location');
        if (next !== null) {
            [address, form] = [new URL(next, address).href, null];
            continue;
        }
        const action = /<form[^>]*action="([^"]+)"/.exec(text)?.[1];
        const prompt = /name="prompt" value="(\w+)"/.exec(text)?.[1];
        if (!action || !prompt) throw new Error(`no form at ${address} (${reply.status}): ${text.replace(/<style[^]*?<\/style>|<[^>]+>|\s+/g, ' ').slice(0, 400)}`);
        [address, form] = [new URL(action, address).href, new URLSearchParams({ prompt, login, password: 'any' })];
    }
    throw new Error('the provider sends the browser in circles');
}

if (import.meta.filename === process.argv[1]) {
    const address = process.argv.slice(2).find((word) => /^https?:/.test(word));
    const back = await signIn(address);
    const deadline = Date.now() + 15_000;
    for (;;) {
        try {
            const reply = await fetch(back);
            process.exit(reply.ok ? 0 : 1);
        } catch (error) {
            // A client may open its browser before it listens.
            if (Date.now() > deadline) throw error;
            await new Promise((resolve) => setTimeout(resolve, 50));
        }
    }
}
