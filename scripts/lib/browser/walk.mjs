// Run by scripts/browser: node walk.mjs SERVER CHROMIUM OUT, with BROWSER_PACKAGES naming what node-tools installed.
//
// Walks through the console as its first owner does: setup token, owner, key, snippet, the first call that lights the
// tick, the call in the log, revocation, and the next call refused. Once with scripts, when every page is also looked
// at in both colour schemes (axe-core, a screenshot into OUT), and once without. Any violation of the pages' own
// content policy, any request to elsewhere, any error in the browser's console and any key in an address is a failure.

import path from "node:path";

import { PASSWORD, finish, inspect, must, open, out, start, wrong } from "./house.mjs";

/** A call as an assistant makes it. */
async function call(base, key) {
  const response = await fetch(`${base}/mcp`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${key}`,
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": "2025-11-25",
    },
    body: JSON.stringify({
      jsonrpc: "2.0",
      id: 1,
      method: "tools/call",
      params: { name: "search", arguments: { query: "bridge" } },
    }),
  });
  await response.text();
  return response.status;
}

async function walk(scripted) {
  const { base, token, stop } = await start();
  const { page, secrets, close } = await open(base, scripted);
  const look = async (name) => (scripted ? inspect(page, name) : undefined);
  const go = async (where) => {
    const response = await page.goto(base + where);
    must(response.ok(), `${where} answers ${response.status()}`);
  };
  try {
    // Setup token → owner.
    await go("/");
    must(page.url().includes("/console/sign-in"), `a stranger is sent to ${page.url()}`);
    await look("sign-in");
    await page.getByRole("link", { name: "Set it up with the token" }).click();
    await look("setup");
    await page.getByLabel("Setup token").fill("fbs_not-it");
    await page.getByLabel("Your e-mail address").fill("ada@example.com");
    await page.getByLabel("Your name").fill("Ada Lovelace");
    await page.getByLabel("Password").fill(PASSWORD);
    await page.getByRole("button", { name: "Become the owner" }).click();
    await page.getByRole("alert").waitFor();
    await page.getByLabel("Setup token").fill(token);
    await page.getByLabel("Password").fill(PASSWORD);
    await page.getByRole("button", { name: "Become the owner" }).click();
    await page.getByRole("heading", { name: "First, a key" }).waitFor();
    await look("connect-empty");
    for (const place of ["keys", "calls", "audit"]) {
      await go(`/console/${place}`);
      await look(`${place}-empty`);
    }

    // Owner → key → snippet.
    await go("/console/keys/new");
    await look("key-new");
    await page.getByLabel("Name", { exact: true }).fill("Ada’s laptop");
    await page.getByRole("checkbox", { name: "search", exact: true }).check();
    await page.getByRole("checkbox", { name: "memory.read", exact: true }).check();
    await page.getByRole("button", { name: "Mint the key" }).click();
    const key = (await page.locator("#fresh-key").textContent()).trim();
    must(/^hoard_sk_\w{49}$/.test(key), "a key is shown");
    secrets.push(key);
    await page.locator("summary", { hasText: "Claude Code" }).click();
    const snippet = page.locator("#snippet-claude-code");
    await snippet.waitFor();
    const text = await snippet.textContent();
    must(text.includes(`${base}/mcp`) || text.includes(`${base}/context/mcp`), `the snippet names the server: ${text}`);
    must(text.includes(scripted ? key : "YOUR_KEY"), `the key in the snippet: ${text}`);
    await look("key-fresh");

    // The first call lights the tick.
    must((await page.locator(".tick.lit").count()) === 0, "the tick is dark before the first call");
    must((await call(base, key)) === 200, "the first call is answered");
    if (!scripted) await page.getByRole("link", { name: "Look again" }).click();
    await page.locator(".tick.lit").waitFor();
    await look("key-lit");

    // The call in the log.
    await page.getByRole("link", { name: "See its calls" }).click();
    await page.locator("#log").getByText("search", { exact: true }).first().waitFor();
    await look("calls");
    await page.getByLabel("Tool").fill("nothing-of-that-name");
    await page.getByRole("button", { name: "Apply" }).click();
    await page.getByRole("heading", { name: "Nothing matches" }).waitFor();
    await look("calls-filtered");

    // Every other place, with something in it.
    await go("/console/connect");
    if (scripted) {
      await page.getByLabel("Paste the key").fill(key);
      await page.locator("summary", { hasText: "Cursor" }).click();
      must((await page.locator("#snippet-cursor").textContent()).includes(key), "a pasted key fills the snippets");
    }
    await look("connect");
    await go("/console/members");
    await page.getByLabel("E-mail address").fill("bob@example.com");
    await page.getByRole("button", { name: "Make the invitation" }).click();
    const invitation = (await page.locator("#token").textContent()).trim();
    must(/^fbi_[\w-]{40,}$/.test(invitation), "an invitation is shown");
    await look("invited");
    for (const [place, name] of [
      ["/console/members", "members"],
      ["/console/audit", "audit"],
      ["/console/flows", "flows"],
      ["/console/reports", "reports"],
      ["/console/reviews", "reviews"],
      ["/console/editions", "editions"],
      ["/console/settings", "settings"],
      ["/console/keys", "keys"],
    ]) {
      await go(place);
      await look(name);
    }
    await go("/console/audit");
    await page.getByRole("button", { name: "Verify every row" }).click();
    await page.getByText("Call log: whole.").waitFor();
    await look("audit-verified");
    await go("/console/members");
    await page.getByRole("link", { name: "Ada Lovelace" }).click();
    await page.getByRole("heading", { name: "Role and groups" }).waitFor();
    await look("member");

    // Revoke → the next call is refused.
    await go("/console/keys");
    await page.getByRole("link", { name: "Ada’s laptop" }).click();
    await look("key");
    await page.getByRole("link", { name: "Its tools" }).click();
    await page.getByText("As the key").waitFor();
    await look("editions-of-key");
    await page.goBack();
    await page.getByRole("link", { name: "Revoke" }).click();
    await look("key-revoke");
    await page.getByRole("button", { name: "Revoke the key" }).click();
    await page.getByText("The key is revoked").waitFor();
    await look("key-revoked");
    const deadline = Date.now() + 5_000;
    let status;
    while ((status = await call(base, key)) !== 401 && Date.now() < deadline) await new Promise((go) => setTimeout(go, 100));
    must(status === 401, `a call with the revoked key answers ${status}`);

    // Out, and in as the person who was invited.
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByText("You are signed out.").waitFor();
    await go(`/console/invitation${scripted ? `#${invitation}` : ""}`);
    await look("invitation-token");
    if (!scripted) await page.getByLabel("Invitation", { exact: true }).fill(invitation);
    must(!page.url().includes("#fbi_"), "the invitation is taken out of the address");
    await page.getByRole("button", { name: "Go on" }).click();
    await page.getByRole("heading", { name: "Join local" }).waitFor();
    await look("invitation");
    await page.getByLabel("Your name").fill("Bob");
    await page.getByLabel("Password").fill(`${PASSWORD}, twice`);
    await page.getByRole("button", { name: "Join" }).click();
    await page.getByRole("heading", { name: "Connect an assistant" }).waitFor();
    must((await page.getByRole("link", { name: "Members" }).count()) === 0, "a member has no menu of members");
    const refused = await page.goto(`${base}/console/members`);
    must(refused.status() === 403, `a member is refused: ${refused.status()}`);
    await look("refused");
    await go("/console/keys");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("E-mail address").fill("ada@example.com");
    await page.getByLabel("Password").fill("not this one, surely");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").waitFor();
    await look("sign-in-wrong");
    await page.getByLabel("Password").fill(PASSWORD);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Connect an assistant" }).waitFor();

    if (scripted) {
      // On a telephone nothing sticks out.
      await page.setViewportSize({ width: 390, height: 844 });
      for (const place of ["connect", "keys", "calls", "members", "editions", "settings"]) {
        await go(`/console/${place}`);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        if (wide > 0) wrong(`${place} is ${wide} pixels too wide for a telephone`);
        await page.screenshot({ path: path.join(out, `${place}-telephone.png`), fullPage: true });
      }
    }

    // Bob lost his password: Ada makes him a link, and he chooses another.
    await page.setViewportSize({ width: 1280, height: 900 });
    await go("/console/members");
    await page.getByRole("link", { name: "Bob" }).click();
    await page.getByRole("button", { name: "Make a link to a new password" }).click();
    const link = (await page.locator("#token").textContent()).trim();
    must(/^fbr_[\w-]{40,}$/.test(link), "a link to a new password is shown");
    await look("password-link");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByText("You are signed out.").waitFor();
    await go(`/console/password${scripted ? `#${link}` : ""}`);
    await look("password-token");
    if (!scripted) await page.getByLabel("Text of the link").fill(link);
    must(!page.url().includes("#fbr_"), "the link's text is taken out of the address");
    await page.getByRole("button", { name: "Go on" }).click();
    await page.getByRole("heading", { name: "New password" }).waitFor();
    await look("new-password");
    await page.getByLabel("Password").fill(`${PASSWORD}, thrice`);
    await page.getByRole("button", { name: "Set the password" }).click();
    await page.getByText("Your new password is set.").waitFor();
    console.log(`walked ${scripted ? "with" : "without"} scripts`);
  } catch (error) {
    await page.screenshot({ path: path.join(out, `failed-${scripted ? "with" : "without"}-scripts.png`) }).catch(() => {});
    wrong(`${scripted ? "with" : "without"} scripts, at ${page.url()}: ${error.stack ?? error}`);
  } finally {
    await close();
    await stop();
  }
}

await walk(true);
await walk(false);
finish();
