"use strict";
// The chat window of a Footbridge workspace, for any site:
//   <script src="https://<server>/widget.js" data-widget="<tenant>/<widget id>" async></script>
// One script, no dependencies, nothing evaluated. The window lives in a shadow tree, so that neither page nor window can
// disturb the other's looks; whatever anybody wrote is set as text. The visitor's token is kept by the site's own storage.
(() => {
  const script = document.currentScript;
  const place = script && script.dataset.widget;
  if (!place || !/^[a-z0-9-]+\/[A-Za-z0-9_]+$/.test(place)) return;
  const base = new URL(script.src).origin + "/widget/" + place;
  const kept = "footbridge:" + place;
  const EVERY_MS = 4000;

  const store = {
    get token() {
      try {
        return localStorage.getItem(kept);
      } catch {
        return this.last || null;
      }
    },
    set token(value) {
      this.last = value;
      try {
        localStorage.setItem(kept, value);
      } catch {
        // A browser that keeps nothing: the conversation lasts as long as the page.
      }
    },
  };

  const ask = async (path, body) => {
    const headers = {};
    if (store.token) headers.authorization = "Bearer " + store.token;
    if (body) headers["content-type"] = "application/json";
    const response = await fetch(base + path, {
      method: body ? "POST" : "GET",
      headers,
      body: body && JSON.stringify(body),
      credentials: "omit",
    });
    const said = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(said.error || "That did not work. Please try again.");
    return said;
  };

  const make = (name, attributes, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (value === true) element.setAttribute(key, "");
      else if (value !== false && value != null) element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  };

  const STYLE = `
    :host { all: initial; color-scheme: light dark; --accent: #1f4fd8; --on-accent: #fff; --ground: #fff; --text: #16181d; --soft: #eef0f4;
      --muted: #525a69; --line: #c9ced8; --bad: #b3261e; font: 15px/1.45 system-ui, sans-serif; }
    @media (prefers-color-scheme: dark) { :host { --ground: #16181d; --text: #eceef2; --soft: #262a33; --muted: #a9b1c0; --line: #444b59; --bad: #ffb4ab; } }
    * { box-sizing: border-box; font: inherit; }
    [hidden] { display: none !important; }
    button { cursor: pointer; border: 0; border-radius: 8px; padding: 10px 14px; background: var(--accent); color: var(--on-accent); }
    button:focus-visible, textarea:focus-visible, input:focus-visible { outline: 3px solid var(--text); outline-offset: 2px; }
    .log:focus-visible { outline: 3px solid var(--text); outline-offset: -3px; }
    .open { position: fixed; bottom: 20px; right: 20px; z-index: 2147483000; border-radius: 24px; padding: 12px 20px; box-shadow: 0 2px 10px #0006; }
    .window { position: fixed; bottom: 20px; right: 20px; z-index: 2147483000; width: min(370px, calc(100vw - 24px)); height: min(540px, calc(100vh - 40px));
      display: flex; flex-direction: column; background: var(--ground); color: var(--text); border: 1px solid var(--line); border-radius: 12px;
      box-shadow: 0 6px 28px #0006; overflow: hidden; }
    .left .open, .left .window { right: auto; left: 20px; }
    header { display: flex; align-items: center; justify-content: space-between; padding: 8px 8px 8px 16px; background: var(--accent); color: var(--on-accent); }
    h2 { margin: 0; font-weight: 600; }
    header button { padding: 6px 12px; font-size: 20px; line-height: 1; }
    .log { flex: 1; overflow-y: auto; }
    ol { margin: 0; padding: 14px; list-style: none; display: flex; flex-direction: column; gap: 10px; }
    li { max-width: 85%; padding: 8px 12px; border-radius: 10px; background: var(--soft); white-space: pre-wrap; overflow-wrap: anywhere; }
    li.you { align-self: flex-end; background: var(--accent); color: var(--on-accent); }
    li span { display: block; font-size: 12px; color: var(--muted); }
    li.you span { color: inherit; }
    form { display: flex; flex-direction: column; gap: 8px; padding: 12px; border-top: 1px solid var(--line); }
    label { font-size: 13px; color: var(--muted); }
    textarea, input { width: 100%; margin-top: 2px; padding: 8px; color: var(--text); background: var(--ground); border: 1px solid var(--muted); border-radius: 8px; resize: none; }
    p { margin: 0; font-size: 13px; color: var(--bad); }`;

  const readable = (color) => {
    const [r, g, b] = [1, 3, 5].map((at) => {
      const part = parseInt(color.slice(at, at + 2), 16) / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
  };

  const begin = (look) => {
    const host = make("div", { id: "footbridge-widget" });
    const root = host.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    const theme = look.theme || {};
    if (/^#[0-9a-fA-F]{6}$/.test(theme.color || "")) {
      host.style.setProperty("--accent", theme.color);
      host.style.setProperty("--on-accent", readable(theme.color));
    }

    const title = look.name || "Chat";
    const opener = make("button", { type: "button", class: "open", "aria-haspopup": "dialog", "aria-expanded": "false" }, title);
    const closer = make("button", { type: "button", "aria-label": "Close the chat" }, "×");
    const list = make("ol", {});
    const log = make("div", { class: "log", role: "log", "aria-label": "Messages", tabindex: "0" }, list);
    const text = make("textarea", { rows: "2", required: true, maxlength: "20000" });
    const email = make("input", { type: "email", autocomplete: "email", maxlength: "254" });
    const emailLabel = make("label", { hidden: !look.ask_email || Boolean(store.token) }, "Your e-mail address, for our answer", email);
    const problem = make("p", { role: "alert", hidden: true });
    const send = make("button", { type: "submit" }, "Send");
    const form = make("form", {}, emailLabel, make("label", {}, "Your message", text), problem, send);
    const frame = make("div", { class: "window", role: "dialog", "aria-label": title, hidden: true }, make("header", {}, make("h2", {}, title), closer), log, form);
    const all = make("aside", { "aria-label": "Chat", class: theme.position === "left" ? "left" : "" }, opener, frame);
    root.append(all);
    document.body.append(host);

    let shown = "";
    const show = (messages) => {
      const now = JSON.stringify(messages);
      if (now === shown) return;
      shown = now;
      const entry = (from, author, said) => {
        const item = make("li", { class: from === "visitor" ? "you" : "" }, make("span", {}, author));
        item.append(said);
        return item;
      };
      const welcome = look.welcome_message ? [entry("team", title, look.welcome_message)] : [];
      list.replaceChildren(...welcome, ...messages.map((one) => entry(one.from, one.from === "visitor" ? "You" : one.author, one.text)));
      log.scrollTop = log.scrollHeight;
    };
    const say = (what) => {
      problem.textContent = what;
      problem.hidden = !what;
    };
    let timer;
    const refresh = async () => {
      clearTimeout(timer);
      if (frame.hidden) return;
      try {
        if (store.token && !document.hidden) show((await ask("/messages")).messages);
      } catch {
        // The next look may do better.
      }
      timer = setTimeout(refresh, EVERY_MS);
    };
    const toggle = (open) => {
      frame.hidden = !open;
      opener.hidden = open;
      opener.setAttribute("aria-expanded", String(open));
      (open ? text : opener).focus();
      refresh();
    };

    opener.addEventListener("click", () => toggle(true));
    closer.addEventListener("click", () => toggle(false));
    frame.addEventListener("keydown", (event) => {
      if (event.key === "Escape") toggle(false);
    });
    text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        form.requestSubmit();
      }
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      send.disabled = true;
      say("");
      try {
        const message = { text: text.value };
        if (email.value) message.email = email.value;
        const said = await ask("/messages", message);
        if (said.visitor) store.token = said.visitor;
        text.value = "";
        emailLabel.hidden = true;
        await refresh();
      } catch (error) {
        say(error.message);
      }
      send.disabled = false;
      text.focus();
    });
    show([]);
  };

  const start = () => ask("").then(begin, (error) => console.warn("Footbridge chat: " + error.message));
  if (document.body) start();
  else addEventListener("DOMContentLoaded", start);
})();
