// Run by scripts/browser: node desk.mjs SERVER CHROMIUM OUT, with BROWSER_PACKAGES naming what node-tools installed.
//
// Somebody works through a workspace of the demo's: inbox, tickets, customers, articles, flows and reports, each looked at in
// both colour schemes, and makes and changes conversations, tickets, customers and an article in two steps; an article is then read by somebody who
// is not signed in. Once with scripts and once without.

import { finish, inspect, must, open, signIn, start, wrong } from "./house.mjs";

async function work(scripted) {
  const { base, stop } = await start({
    configuration: '[server]\neditions = ["workspace"]\n',
    before: [
      ["demo", "workspace"],
      ["user", "password", "operator@localhost"],
    ],
  });
  const { context, page, close } = await open(base, scripted);
  const name = (text) => `desk-${text}`;
  const look = async (text) => (scripted ? inspect(page, name(text)) : undefined);
  const go = async (where) => {
    const response = await page.goto(base + where);
    must(response.ok(), `${where} answers ${response.status()}`);
  };
  /** The page between a button and its effect, and the yes there. */
  const agree = async (text, done) => {
    await page.getByText("Nothing has been changed yet.").waitFor();
    await look(`${text}-proposal`);
    await page.getByRole("button", { name: "Confirm" }).click();
    await page.getByText(done).waitFor();
  };
  /** The first record of a list. */
  const first = async (list) => {
    await go(list);
    await page.locator("tbody th a").first().click();
    await page.getByRole("heading", { level: 1 }).waitFor();
  };
  try {
    await signIn(page, base, "operator@localhost");
    for (const place of ["inbox", "tickets", "accounts", "contacts", "leads", "opportunities", "articles", "flows", "reports"]) {
      await go(`/console/${place}`);
      await look(place);
    }
    await first("/console/inbox");
    await look("conversation");
    await page.getByLabel("Member", { exact: true }).selectOption("unassigned");
    await page.getByRole("button", { name: "Assign", exact: true }).click();
    await agree("conversation", "It is assigned.");

    // A ticket by its filters, then the ticket.
    await go("/console/tickets");
    await page.getByLabel("Priority", { exact: true }).selectOption("urgent");
    await page.getByRole("button", { name: "Apply" }).click();
    must(page.url().includes("priority=urgent"), `the filter stands in the address: ${page.url()}`);
    await look("tickets-filtered");
    await page.locator("tbody th a").first().click();
    await page.getByRole("heading", { name: "Where it stands" }).waitFor();
    await look("ticket");
    await page.getByLabel("Member", { exact: true }).selectOption("me");
    await page.getByRole("button", { name: "Assign" }).click();
    await agree("ticket", "It is assigned.");
    await page.getByLabel("Comment", { exact: true }).fill("<b>Looked at it.</b>");
    await page.getByRole("button", { name: "For the team" }).click();
    await agree("comment", "The comment is added.");
    await page.getByText("<b>Looked at it.</b>").waitFor();
    await page.getByLabel("Solution", { exact: true }).fill("A new cable.");
    await page.getByRole("button", { name: "Resolve" }).click();
    await agree("resolve", "It is resolved.");
    await look("ticket-resolved");

    await first("/console/accounts");
    await look("account");
    await page.getByLabel("Stage", { exact: true }).selectOption("at_risk");
    await page.getByLabel("Health, 0 to 100", { exact: true }).fill("12");
    await page.getByRole("button", { name: "Change" }).click();
    await agree("account", "Saved.");
    await first("/console/contacts");
    await look("contact");
    await page.getByLabel("Note", { exact: true }).fill("Called.");
    await page.getByRole("button", { name: "Add the note" }).click();
    await agree("contact", "The note is added.");
    await first("/console/leads");
    await look("lead");
    await first("/console/opportunities");
    await look("opportunity");
    await page.getByLabel("Likely, in percent", { exact: true }).fill("55");
    await page.getByRole("button", { name: "Change" }).click();
    await agree("opportunity", "Saved.");
    for (const [kind, label, name] of [
      ["leads", "Name", "Grace Hopper"],
      ["tickets", "Title", "It does not compile"],
    ]) {
      await go(`/console/${kind}`);
      await page.getByRole("link", { name: kind === "leads" ? "Add a lead" : "Open a ticket" }).click();
      await page.getByLabel(label, { exact: true }).fill(name);
      await look(`${kind}-new`);
      await page.getByRole("button", { name: "Add it" }).click();
      await agree(`${kind}-new`, "It is there now.");
      await page.getByRole("heading", { level: 1, name }).waitFor();
      if (kind === "leads") {
        await page.getByLabel("Company", { exact: true }).fill("Compilers & Co");
        await page.getByRole("button", { name: "Change" }).click();
        await agree("lead", "Saved.");
        await page.getByRole("button", { name: "Convert" }).click();
        await agree("convert", "The lead is a contact now.");
        await look("lead-converted");
        await page.getByLabel("Why", { exact: true }).fill("Met twice.");
        await page.getByRole("button", { name: "Delete" }).click();
        await agree("delete", "It is deleted.");
      }
    }

    // An article from a draft to a public page.
    await go("/console/articles/new");
    await look("article-new");
    await page.getByLabel("Title", { exact: true }).fill("Delivery times");
    await page.getByLabel("Read by", { exact: true }).selectOption("public");
    await page.getByLabel("Text", { exact: true }).fill("# How long\n\n*Two* days, or [ask](https://shop.example).\n\n<img src=x onerror=alert(1)>\n");
    await page.getByRole("button", { name: "Add it" }).click();
    await agree("article", "It is there now.");
    await page.getByRole("button", { name: "Publish" }).click();
    await agree("publish", "Saved.");
    await look("article");
    await page.getByRole("link", { name: "Edit", exact: true }).click();
    await look("article-edit");
    await page.goBack();
    const address = await page.getByRole("link", { name: /^\/kb\// }).getAttribute("href");
    await context.clearCookies();
    await go(address);
    await page.getByRole("heading", { name: "How long" }).waitFor();
    must((await page.locator("img").count()) === 0, "an article brings no picture from elsewhere");
    await look("article-outside");
    await go("/console/tickets");
    must(page.url().includes("/console/sign-in"), "an article's reader is not signed in");
    console.log(`worked ${scripted ? "with" : "without"} scripts`);
  } catch (error) {
    wrong(`${scripted ? "with" : "without"} scripts, at ${page.url()}: ${error.stack ?? error}`);
  } finally {
    await close();
    await stop();
  }
}

await work(true);
await work(false);
finish();
