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
  const field = (label) => page.getByLabel(label, { exact: true });
  /** A button, the page between it and its effect, the yes there, and what is said then. */
  const press = async (button, text, done) => {
    await page.getByRole("button", { name: button, exact: true }).click();
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
  /** A new record, from the link on its list to its page. */
  const added = async (list, link, label, name) => {
    await go(`/console/${list}`);
    await page.getByRole("link", { name: link }).click();
    await field(label).fill(name);
    await look(`${list}-new`);
    await press("Add it", `${list}-new`, "It is there now.");
    await page.getByRole("heading", { level: 1, name }).waitFor();
  };
  try {
    await signIn(page, base, "operator@localhost");
    for (const place of ["inbox", "tickets", "accounts", "contacts", "leads", "opportunities", "articles", "flows", "reports"]) {
      await go(`/console/${place}`);
      await look(place);
    }
    await first("/console/inbox");
    await look("conversation");
    await field("Member").selectOption("unassigned");
    await press("Assign", "conversation", "It is assigned.");

    // A ticket by its filters, then the ticket.
    await go("/console/tickets");
    await field("Priority").selectOption("urgent");
    await page.getByRole("button", { name: "Apply" }).click();
    must(page.url().includes("priority=urgent"), `the filter stands in the address: ${page.url()}`);
    await look("tickets-filtered");
    await page.locator("tbody th a").first().click();
    await page.getByRole("heading", { name: "Where it stands" }).waitFor();
    await look("ticket");
    await field("Member").selectOption("me");
    await press("Assign", "ticket", "It is assigned.");
    await field("Comment").fill("<b>Looked at it.</b>");
    await press("For the team", "comment", "The comment is added.");
    await page.getByText("<b>Looked at it.</b>").waitFor();
    await field("Solution").fill("A new cable.");
    await press("Resolve", "resolve", "It is resolved.");
    await look("ticket-resolved");

    await first("/console/accounts");
    await look("account");
    await field("Stage").selectOption("at_risk");
    await field("Health, 0 to 100").fill("12");
    await press("Change", "account", "Saved.");
    await first("/console/contacts");
    await look("contact");
    await field("Note").fill("Called.");
    await press("Add the note", "contact", "The note is added.");
    await first("/console/leads");
    await look("lead");
    await first("/console/opportunities");
    await look("opportunity");
    await field("Likely, in percent").fill("55");
    await press("Change", "opportunity", "Saved.");

    // A ticket that nobody wrote, and a lead that becomes a contact and is deleted.
    await added("tickets", "Open a ticket", "Title", "It does not compile");
    await added("leads", "Add a lead", "Name", "Grace Hopper");
    await field("Company").fill("Compilers & Co");
    await press("Change", "lead", "Saved.");
    await press("Convert", "convert", "The lead is a contact now.");
    await look("lead-converted");
    await field("Why").fill("Met twice.");
    await press("Delete", "delete", "It is deleted.");

    // An article from a draft to a public page.
    await go("/console/articles/new");
    await look("article-new");
    await field("Title").fill("Delivery times");
    await field("Read by").selectOption("public");
    await field("Text").fill("# How long\n\n*Two* days, or [ask](https://shop.example).\n\n<img src=x onerror=alert(1)>\n");
    await press("Add it", "article", "It is there now.");
    await press("Publish", "publish", "Saved.");
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
