// Run by scripts/browser: node chat.mjs SERVER CHROMIUM OUT, with BROWSER_PACKAGES naming what node-tools installed.
//
// A chat between a visitor of another site and the team: the window is embedded by one script tag, opened, written in, and
// answered from the console's inbox; the answer appears in the window. Window, inbox and conversation are looked at in both
// colour schemes (axe-core, a screenshot into OUT).

import { becomeOwner, finish, inspect, must, profile, start, wrong } from "./house.mjs";

const SITE = "https://shop.example";
const { base, token, command, stop } = await start({ configuration: '[server]\neditions = ["workspace"]\n' });

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

const { context, page, close } = await profile(
  { viewport: { width: 1100, height: 760 } },
  // The site is one of a public network only by its name; a browser would ask before it lets one reach this machine.
  ["--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,PrivateNetworkAccessSendPreflights"],
);
/** Says yes on the page that shows what would happen. */
async function agree(done, name) {
  await page.getByText("Nothing has been changed yet.").waitFor();
  if (name) await inspect(page, name);
  await page.getByRole("button", { name: "Confirm", exact: true }).click();
  await page.getByText(done).waitFor();
}

try {
  await becomeOwner(page, base, token);
  await page.getByRole("link", { name: "Inbox", exact: true }).click();
  await page.getByRole("heading", { name: "Nothing here" }).waitFor();
  await inspect(page, "inbox-empty");

  const minted = await command("key", "mint", "--edition", "workspace", "--scopes", "admin:*", "--name", "chat");
  const key = minted.match(/hmcp_\w+/)[0];
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
  await agree("Your reply is on its way.", "conversation-plan");
  await page.getByLabel("Text").fill("She sounds cross.");
  await page.getByRole("button", { name: "Add as note" }).click();
  await agree("The note is added.");
  await inspect(page, "conversation-answered");

  await chat.getByText("On its way, Eve.").waitFor();
  must((await chat.getByText("cross").count()) === 0, "notes are not for visitors");
  await inspect(site, "widget-answered");
  await site.reload();
  await opener.click();
  await chat.getByText("On its way, Eve.").waitFor();
  await page.getByRole("button", { name: "Resolve", exact: true }).click();
  await agree("It is resolved.");
  console.log("chatted");
} catch (error) {
  wrong(error.stack ?? String(error));
} finally {
  await close();
  await stop();
}
finish();
