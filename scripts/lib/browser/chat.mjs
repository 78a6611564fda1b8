// Run by scripts/browser: node chat.mjs SERVER CHROMIUM OUT, with BROWSER_PACKAGES naming what node-tools installed.
//
// A chat between a visitor of another site and the team: the window is embedded by one script tag, opened, written in, and
// answered from the console's inbox; the answer appears in the window. Window, inbox and conversation are looked at in both
// colour schemes (axe-core, a screenshot into OUT).

import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import readline from "node:readline";
import { promisify } from "node:util";

const [server, chromium, out] = process.argv.slice(2);
const require = createRequire(path.join(process.env.BROWSER_PACKAGES, "package.json"));
const { chromium: driver } = require("playwright-core");
const axe = await readFile(require.resolve("axe-core/axe.min.js"), "utf8");
const run = promisify(execFile);

const SITE = "https://shop.example";
const PASSWORD = "a bridge for every foot";
const problems = [];
const wrong = (text) => {
  problems.push(text);
  console.error(`WRONG: ${text}`);
};
const must = (good, text) => {
  if (!good) throw new Error(text);
};

async function inspect(page, name) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() =>
      window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }),
    );
    for (const { id, help, nodes } of violations) {
      for (const node of nodes) wrong(`${name} (${colorScheme}): ${id}, ${help}: ${node.html.slice(0, 200)}`);
    }
    await page.screenshot({ path: path.join(out, `${name}-${colorScheme}.png`), fullPage: true });
  }
  await page.emulateMedia({ colorScheme: "light" });
}

const data = await mkdtemp(path.join(tmpdir(), "footbridge-chat-"));
const profile = await mkdtemp(path.join(tmpdir(), "footbridge-chat-profile-"));
const config = path.join(data, "server.toml");
await writeFile(config, '[server]\neditions = ["workspace"]\n');
const place = ["--data", data, "--config", config];
const child = spawn(server, ["serve", "--listen", "127.0.0.1:0", ...place], { stdio: ["ignore", "pipe", "pipe"] });
let log = "";
child.stderr.on("data", (chunk) => (log += chunk));
let base, token;
for await (const line of readline.createInterface({ input: child.stdout })) {
  base ??= line.match(/(http:\/\/127\.0\.0\.1:\d+)\//)?.[1];
  token ??= line.match(/fbs_[\w-]+/)?.[0];
  if (base && token) break;
}
must(base && token, `the server did not start: ${log}`);
child.stdout.resume();

/** A writing call and the yes to it. */
async function confirmed(key, name, given) {
  const call = async (args) => {
    const response = await fetch(`${base}/mcp`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${key}`,
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        "mcp-protocol-version": "2025-11-25",
      },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name, arguments: args } }),
    });
    const said = await response.json();
    must(said.result && !said.result.isError, `${name} answers ${JSON.stringify(said)}`);
    return said.result.structuredContent;
  };
  const asked = await call(given);
  const done = await call({ ...given, confirmation_token: asked.confirmation_token });
  must(done.status === "done", `${name} is not done: ${JSON.stringify(done)}`);
  return done.result;
}

const context = await driver.launchPersistentContext(profile, {
  executablePath: chromium,
  headless: true,
  // The site is one of a public network only by its name; a browser would ask before it lets one reach this machine.
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,PrivateNetworkAccessSendPreflights",
  ],
  viewport: { width: 1100, height: 760 },
});
try {
  await mkdir(out, { recursive: true });
  const page = context.pages()[0] ?? (await context.newPage());
  page.setDefaultTimeout(20_000);
  await page.goto(`${base}/console/setup`);
  await page.getByLabel("Setup token").fill(token);
  await page.getByLabel("Your e-mail address").fill("ada@example.com");
  await page.getByLabel("Your name").fill("Ada Lovelace");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Become the owner" }).click();
  await page.getByRole("link", { name: "Inbox", exact: true }).click();
  await page.getByRole("heading", { name: "Nothing here" }).waitFor();
  await inspect(page, "inbox-empty");

  const minted = await run(server, ["key", "mint", ...place, "--edition", "workspace", "--scopes", "admin:*", "--name", "chat"]);
  const key = minted.stdout.match(/hmcp_\w+/)[0];
  const made = await confirmed(key, "create_channel", {
    name: "Chat",
    type: "web",
    routing: "manual",
    delivery: { adapter: "none" },
  });
  await confirmed(key, "update_widget", {
    id: "Website",
    active: true,
    channel_id: made.channel.id,
    allowed_origins: [SITE],
    welcome_message: "Hello! How can we help?",
    ask_email: true,
  });

  // The site, with a policy of its own that lets it run this one script and nothing else.
  const site = await context.newPage();
  site.setDefaultTimeout(20_000);
  site.on("pageerror", (error) => wrong(`script of the window: ${error}`));
  site.on("console", (message) => {
    if (message.type() === "error") wrong(`console of the site: ${message.text()}`);
  });
  await site.route(`${SITE}/*`, (route) =>
    route.fulfill({
      contentType: "text/html",
      headers: { "content-security-policy": `default-src 'none'; script-src ${base}; connect-src ${base}` },
      body: `<!doctype html><html lang="en"><head><title>Shop</title></head><body><main><h1>Shop</h1><p>Things.</p></main>
        <script src="${base}/widget.js" data-widget="local/wgt_website"></script></body></html>`,
    }),
  );
  await site.goto(`${SITE}/`);
  const opener = site.getByRole("button", { name: "Website" });
  await opener.waitFor();
  await inspect(site, "widget-closed");
  await opener.focus();
  await site.keyboard.press("Enter");
  const chat = site.getByRole("dialog", { name: "Website" });
  await chat.getByText("Hello! How can we help?").waitFor();
  await inspect(site, "widget-open");
  await site.keyboard.press("Escape");
  must(await opener.evaluate((button) => button.getRootNode().activeElement === button), "closing gives the focus back");
  await opener.click();
  await chat.getByLabel("Your e-mail address").fill("eve@shop.example");
  await chat.getByLabel("Your message").fill("<img src=x onerror=alert(1)> Where is my parcel?");
  await chat.getByRole("button", { name: "Send" }).click();
  await chat.getByRole("listitem").filter({ hasText: "<img src=x" }).waitFor();

  await page.goto(`${base}/console/inbox`);
  await inspect(page, "inbox");
  await page.getByRole("link", { name: "No subject" }).click();
  await page.getByText("<img src=x onerror=alert(1)> Where is my parcel?").waitFor();
  await inspect(page, "conversation");
  await page.getByLabel("Text").fill("On its way, Eve.");
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await page.getByText("Your reply is on its way.").waitFor();
  await page.getByLabel("Text").fill("She sounds cross.");
  await page.getByRole("button", { name: "Add as note" }).click();
  await page.getByText("The note is added.").waitFor();
  await inspect(page, "conversation-answered");

  await chat.getByText("On its way, Eve.").waitFor();
  must((await chat.getByText("cross").count()) === 0, "notes are not for visitors");
  await inspect(site, "widget-answered");
  await site.reload();
  await opener.click();
  await chat.getByText("On its way, Eve.").waitFor();
  await page.getByRole("button", { name: "Resolve", exact: true }).click();
  await page.getByText("It is resolved.").waitFor();
  console.log("chatted");
} catch (error) {
  wrong(error.stack ?? String(error));
} finally {
  await context.close();
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await ended;
  await rm(data, { recursive: true, force: true });
  await rm(profile, { recursive: true, force: true });
}
if (problems.length > 0) {
  console.error(`${problems.length} things are wrong${log ? `; the server said:\n${log}` : ""}`);
  process.exit(1);
}
