// What the walks of scripts/browser share: a server of its own, a browser that nobody used before, and a look at a page in
// both colour schemes (axe-core, a screenshot into OUT). Whatever is wrong is said at once and counted.

import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import readline from "node:readline";
import { promisify } from "node:util";

export const [server, chromium, out] = process.argv.slice(2);
export const PASSWORD = "a bridge for every foot";
const require = createRequire(path.join(process.env.BROWSER_PACKAGES, "package.json"));
const { chromium: driver } = require("playwright-core");
const axe = await readFile(require.resolve("axe-core/axe.min.js"), "utf8");
await mkdir(out, { recursive: true });

const problems = [];
export const wrong = (text) => {
  problems.push(text);
  console.error(`WRONG: ${text}`);
};
export const must = (good, text) => {
  if (!good) throw new Error(text);
};
/** Ends the process with the outcome. */
export const finish = () => {
  if (problems.length > 0) {
    console.error(`${problems.length} things are wrong`);
    process.exit(1);
  }
};

/**
 * A server of its own, with nothing in it but what commands `before` its start put there: its address, its setup token,
 * which it has while nobody owns it, and its commands.
 */
export async function start({ configuration = "", before = [] } = {}) {
  const data = await mkdtemp(path.join(tmpdir(), "footbridge-browser-"));
  const place = ["--data", data];
  if (configuration) {
    const config = path.join(data, "server.toml");
    await writeFile(config, configuration);
    place.push("--config", config);
  }
  const env = { ...process.env, FOOTBRIDGE_PASSWORD: PASSWORD };
  const command = async (...words) => (await promisify(execFile)(server, [...words, ...place], { env })).stdout;
  for (const words of before) await command(...words);
  const child = spawn(server, ["serve", "--listen", "127.0.0.1:0", ...place], { stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  child.stderr.on("data", (chunk) => (log += chunk));
  let base, token;
  for await (const line of readline.createInterface({ input: child.stdout })) {
    base ??= line.match(/(http:\/\/127\.0\.0\.1:\d+)\//)?.[1];
    token ??= line.match(/fbs_[\w-]+/)?.[0];
    if (base && (token || before.length > 0)) break;
  }
  must(base, `the server did not start: ${log}`);
  child.stdout.resume();
  const stop = async () => {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    await ended;
    await rm(data, { recursive: true, force: true });
  };
  return { base, token, command, stop };
}

/** A browser profile that nobody used before; `context`: what of its settings is not as usual. */
export async function profile(settings = {}, args = []) {
  const folder = await mkdtemp(path.join(tmpdir(), "footbridge-profile-"));
  const context = await driver.launchPersistentContext(folder, {
    executablePath: chromium,
    headless: true,
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", ...args],
    viewport: { width: 1280, height: 860 },
    ...settings,
  });
  const close = async () => {
    await context.close();
    await rm(folder, { recursive: true, force: true });
  };
  const page = context.pages()[0] ?? (await context.newPage());
  page.setDefaultTimeout(20_000);
  return { context, page, close };
}

/** The same, watched: it asks nobody but this server, breaks no policy, and lets no secret leave a page. */
export async function open(base, javaScriptEnabled) {
  const { context, page, close } = await profile({ javaScriptEnabled }, [
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ]);
  const secrets = [];
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      console.error(`policy violation: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  page.on("console", (message) => {
    // A refused form is a page with an error's status, which the browser mentions.
    const expected = /Failed to load resource.*(401|403|404|409|422|429)/.test(message.text());
    if (message.type() === "error" && !expected) wrong(`console at ${page.url()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => wrong(`script at ${page.url()}: ${error}`));
  context.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(base)) wrong(`a request to elsewhere: ${url}`);
    if (secrets.some((secret) => url.includes(secret) || (request.postData() ?? "").includes(secret))) {
      wrong(`a secret leaves the page: ${request.method()} ${new URL(url).pathname}`);
    }
  });
  return { context, page, secrets, close };
}

/** A page in both schemes: nothing for axe-core to say, and a picture. */
export async function inspect(page, name) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() =>
      window.axe.run(document, {
        runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
      }),
    );
    for (const { id, help, nodes } of violations) {
      for (const node of nodes) wrong(`${name} (${colorScheme}): ${id}, ${help}: ${node.html.slice(0, 200)}`);
    }
    await page.screenshot({ path: path.join(out, `${name}-${colorScheme}.png`), fullPage: true });
  }
  await page.emulateMedia({ colorScheme: "light" });
}

/** Somebody who has a password. */
export async function signIn(page, base, email) {
  await page.goto(`${base}/console/sign-in`);
  await page.getByLabel("E-mail address").fill(email);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Connect an assistant" }).waitFor();
}

/** Setup token → owner. */
export async function becomeOwner(page, base, token) {
  await page.goto(`${base}/console/setup`);
  await page.getByLabel("Setup token").fill(token);
  await page.getByLabel("Your e-mail address").fill("ada@example.com");
  await page.getByLabel("Your name").fill("Ada Lovelace");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Become the owner" }).click();
  await page.getByRole("heading", { name: "Connect an assistant" }).waitFor();
}
