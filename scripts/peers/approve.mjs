// A person says yes or no in the console, as their browser would: signs in, opens the page that the call's answer names,
// and sends the form that stands there. Reads FOOTBRIDGE_PERSON and FOOTBRIDGE_PASSWORD.

const FORM_OF = (page) => page.match(/name="form" value="([^"]+)"/)?.[1];

/** Every cookie that was set so far, as a browser keeps them. */
class Browser {
    constructor(origin) {
        this.origin = origin;
        this.cookies = new Map();
    }

    async open(path, fields) {
        const headers = { Cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
        const options = { headers, redirect: 'manual', signal: AbortSignal.timeout(10_000) };
        if (fields) {
            Object.assign(headers, { Origin: this.origin, 'Sec-Fetch-Site': 'same-origin' });
            Object.assign(options, { method: 'POST', body: new URLSearchParams(fields) });
        }
        const reply = await fetch(this.origin + path, options);
        for (const cookie of reply.headers.getSetCookie()) {
            const [, name, value] = cookie.match(/^([^=]+)=([^;]*)/);
            this.cookies.set(name, value);
        }
        return { status: reply.status, goesTo: reply.headers.get('location'), page: await reply.text() };
    }
}

/** `answer` is approve or decline; `url` is what the waiting call's answer gave. */
export async function answerInConsole(url, answer) {
    const { origin, pathname, search, searchParams } = new URL(url);
    const { FOOTBRIDGE_PERSON: email, FOOTBRIDGE_PASSWORD: password } = process.env;
    const browser = new Browser(origin);
    const next = pathname + search;
    const before = await browser.open(`/console/sign-in?next=${encodeURIComponent(next)}`);
    const entered = await browser.open('/console/sign-in', { form: FORM_OF(before.page), next, email, password });
    if (entered.status !== 303 || entered.goesTo !== next) throw new Error(`not signed in: ${entered.status} to ${entered.goesTo}`);
    const { page } = await browser.open(next);
    const code = searchParams.get('code');
    if (!page.includes('this one')) throw new Error(`the page does not show ${code}`);
    const answered = await browser.open('/console/reviews/call', { form: FORM_OF(page), code, answer });
    if (answered.status !== 303) throw new Error(`the answer was not taken: ${answered.status} ${answered.page.slice(0, 300)}`);
    return page;
}
