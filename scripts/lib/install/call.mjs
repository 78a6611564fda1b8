// usage: node call.mjs [--stop-by SIGNAL] COMMAND [ARGUMENT...]
//
// Starts COMMAND as an MCP client would and makes one real call: handshake, list, `search` for what is in the notes.
// Exits 0 only if the passage came back, stderr spoke of nothing and the program ended by itself once its input ended.
// With --stop-by the program gets SIGNAL after the handshake instead: it must end, and whatever it started with it.
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const LIMIT_MS = 30_000;
const [, , ...words] = process.argv;
const stopBy = words[0] === "--stop-by" ? words.splice(0, 2)[1] : undefined;
const [command, ...args] = words;

const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
let errors = "";
child.stderr.setEncoding("utf8").on("data", (text) => (errors += text));
const ended = new Promise((resolve, reject) => {
  child.on("error", reject);
  child.on("exit", (code, signal) => resolve(signal ?? code));
});
const timer = setTimeout(() => fail("it took too long"), LIMIT_MS);

function fail(why) {
  console.error(`call: ${command}: ${why}${errors && `\n${errors}`}`);
  child.kill("SIGKILL");
  process.exit(1);
}

const waiting = new Map();
createInterface({ input: child.stdout }).on("line", (line) => {
  const message = JSON.parse(line);
  waiting.get(message.id)?.(message);
});
ended.then((how) => waiting.forEach((_, id) => fail(`it ended (${how}) before it answered ${id}`)), (error) => fail(error.message));

function send(message) {
  child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
}

async function ask(id, method, params) {
  const answer = await new Promise((resolve) => {
    waiting.set(id, resolve);
    send({ id, method, params });
  });
  waiting.delete(id);
  if (!answer.result || answer.result.isError) fail(`${method}: ${JSON.stringify(answer)}`);
  return answer.result;
}

// The processes that `pid` started, on Linux; nothing elsewhere.
function children(pid) {
  const file = `/proc/${pid}/task/${pid}/children`;
  return existsSync(file) ? readFileSync(file, "utf8").split(" ").filter(Boolean) : [];
}

const client = { name: "install-test", version: "1" };
await ask(1, "initialize", { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: client });
send({ method: "notifications/initialized" });
if (stopBy) {
  const family = children(child.pid);
  child.kill(stopBy);
  const how = await ended;
  const orphans = family.filter((pid) => existsSync(`/proc/${pid}`));
  if (orphans.length > 0) fail(`${orphans.length} of its processes outlived ${stopBy}`);
  console.log(`stopped by ${stopBy}: ${how}`);
} else {
  const { tools } = await ask(2, "tools/list", {});
  const found = await ask(3, "tools/call", { name: "search", arguments: { query: "lighthouse keeper" } });
  if (!JSON.stringify(found).includes("Fresnel")) fail(`the search found ${JSON.stringify(found)}`);
  child.stdin.end();
  const how = await ended;
  if (how !== 0) fail(`it ended with ${how}`);
  if (errors) fail("it wrote to stderr");
  console.log(`working call: ${tools.length} tools, one searched`);
}
clearTimeout(timer);
