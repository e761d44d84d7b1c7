// The element itself: a button, and the dialog that it opens.
class MetachatWidget extends HTMLElement {
  connectedCallback() {
    if (this.link) return;
    this.language = chooseLanguage(this.getAttribute("lang"), document.documentElement.lang, ...navigator.languages);
    this.texts = TEXTS[this.language];
    this.link = new Link(this.getAttribute("server"), this.getAttribute("channel"), this.language);
    this.state = "assistant";
    this.connection = navigator.onLine ? "open" : "offline";
    this.unread = 0;
    this.build();
    this.listen();
    this.link.memory.queue.forEach((message) => this.transcript.pending(message));
    if (this.link.memory.token) this.link.connect();
    else if (this.link.memory.queue.length) this.link.flush();
    if (this.link.memory.open) this.open({ focus: false });
  }

  build() {
    const { texts } = this;
    const root = this.attachShadow({ mode: "open" });
    applyStyles(root);
    this.badge = make("span", { class: "badge", hidden: true });
    this.launcher = make("button", { class: "launcher", type: "button", "aria-label": texts.open, "aria-haspopup": "dialog",
      "aria-expanded": "false", onclick: () => (this.isOpen ? this.close() : this.open()) }, icon(ICONS.chat), this.badge);
    this.transcript = new Transcript(texts, {
      ask: (text) => this.ask(text), again: (message) => this.again(message), person: () => this.person(),
      open: (source, number, opener) => this.showPassage(source, number, opener),
    });
    this.heading = make("h2", { id: "title" }, this.getAttribute("title") || texts.title);
    this.line = make("p", { class: "state", "aria-live": "polite" });
    this.input = make("textarea", { rows: "1", maxlength: "8000", placeholder: texts.placeholder, "aria-label": texts.message,
      enterkeyhint: "send", oninput: () => this.fit() });
    this.sendButton = make("button", { class: "send", type: "submit", "aria-label": texts.send, disabled: true }, icon(ICONS.send));
    this.form = make("form", { onsubmit: (event) => this.submit(event) }, this.input, this.sendButton);
    this.personButton = make("button", { class: "link", type: "button", onclick: () => this.person() }, texts.person);
    this.passage = make("section", { class: "passage", hidden: true, role: "region", "aria-labelledby": "place", tabindex: "-1" });
    this.chat = [
      make("header", {}, make("div", {}, this.heading, this.line),
        make("button", { class: "icon", type: "button", "aria-label": texts.close, onclick: () => this.close() }, icon(ICONS.close))),
      this.transcript.node, this.form, make("div", { class: "foot" }, this.personButton)];
    this.panel = make("div", { class: "panel", role: "dialog", "aria-labelledby": "title", lang: this.language, hidden: true,
      onkeydown: (event) => this.key(event) }, ...this.chat, this.passage);
    root.append(this.launcher, this.panel);
    const suggestions = (this.getAttribute("suggestions") || "").split("|").filter(Boolean);
    this.suggestions = suggestions;
    this.transcript.greet(this.getAttribute("greeting") || texts.greeting, suggestions);
    this.showState();
  }

  listen() {
    const on = (name, take) => this.link.addEventListener(name, (event) => take(event.detail));
    on("message", (message) => this.take(message));
    on("token", (token) => this.state === "assistant" && this.transcript.token(token));
    on("state", ({ state }) => { this.state = state; this.showState(); this.expect(); });
    on("connection", (connection) => { this.connection = connection; this.showState(); });
    on("queued", (message) => this.transcript.pending(message));
    on("sent", ({ client_key }) => { this.transcript.note(client_key, "sent"); this.expect(true); });
    on("delayed", ({ client_key }) => this.transcript.note(client_key, "queued"));
    on("failed", ({ message, status }) => this.fail(message, status));
    on("forgotten", () => { this.transcript.clear(); this.state = "assistant"; this.showState(); });
    document.addEventListener("click", (event) => {
      const asking = event.target.closest?.("[data-metachat-ask]");
      if (!asking) return;
      event.preventDefault();
      this.open();
      if (asking.dataset.metachatAsk) this.ask(asking.dataset.metachatAsk);
    });
  }

  get isOpen() {
    return !this.panel.hidden;
  }

  open({ focus = true } = {}) {
    const narrow = matchMedia("(max-width: 600px)").matches;
    // After a reload a phone shows the page again, not the chat over all of it.
    if (!focus && narrow) return;
    this.panel.hidden = false;
    this.toggleAttribute("open", true);
    this.panel.toggleAttribute("data-modal", narrow);
    if (narrow) this.panel.setAttribute("aria-modal", "true");
    else this.panel.removeAttribute("aria-modal");
    this.launcher.setAttribute("aria-expanded", "true");
    this.link.remember({ open: true });
    this.see();
    this.transcript.bottom(true);
    if (focus) this.input.focus();
    this.dress();
  }

  close() {
    this.panel.hidden = true;
    this.toggleAttribute("open", false);
    this.launcher.setAttribute("aria-expanded", "false");
    this.link.remember({ open: false });
    this.launcher.focus();
  }

  // The tenant's own title, greeting and colour, asked for once somebody looks.
  async dress() {
    if (this.dressed) return;
    this.dressed = true;
    try {
      const { title, greeting, accent, paused } = await this.link.look();
      if (title && !this.hasAttribute("title")) this.heading.textContent = title;
      if (greeting && !this.hasAttribute("greeting")) this.transcript.greet(greeting, this.suggestions);
      if (/^#[0-9a-f]{6}$/i.test(accent)) this.style.setProperty("--accent", accent);
      if (paused) this.transcript.greet(this.texts.paused, []);
    } catch (failure) {
      this.dressed = false;
      if (failure.message === "403" || failure.message === "404") this.transcript.greet(this.texts.refused, []);
    }
  }

  ask(text) {
    this.link.send(text);
    this.start();
  }

  start() {
    this.transcript.bottom(true);
    this.see();
  }

  submit(event) {
    event.preventDefault();
    const text = this.input.value.trim();
    if (!text) return;
    this.input.value = "";
    this.fit();
    this.ask(text);
    this.input.focus();
  }

  again(message) {
    this.transcript.note(message.client_key, "sending");
    this.link.again(message);
  }

  fail(message, status) {
    this.transcript.note(message.client_key, status === 422 || status === 413 ? "long" : "failed", true);
  }

  person() {
    this.personButton.disabled = true;
    this.link.person().catch(() => {}).finally(() => { this.personButton.disabled = false; });
    this.input.focus();
  }

  take(message) {
    this.transcript.message(message);
    this.last = message.author;
    if (this.isOpen) this.see();
    else this.count(message);
    this.expect();
  }

  // While the assistant owes an answer, it shows that it is at it.
  expect(justSent = false) {
    if (justSent) this.last = "customer";
    if (this.state === "assistant" && this.last === "customer") this.transcript.writing();
    else this.transcript.drop();
  }

  see() {
    this.unread = 0;
    this.badge.hidden = true;
    this.launcher.setAttribute("aria-label", this.texts.open);
    if (this.link.seq > (this.link.memory.seen || 0)) this.link.remember({ seen: this.link.seq });
  }

  count(message) {
    if (message.author === "customer" || message.seq <= (this.link.memory.seen || 0)) return;
    this.badge.textContent = String(++this.unread);
    this.badge.hidden = false;
    this.launcher.setAttribute("aria-label", `${this.texts.open} (${this.unread} ${this.texts.unread})`);
  }

  showState() {
    const { texts } = this;
    const troubled = { offline: texts.offline, lost: texts.reconnecting }[this.connection];
    const states = { assistant: texts.ready, waiting: texts.waiting, assigned: texts.assigned, closed: texts.closed };
    const line = troubled || states[this.state];
    if (this.line.textContent !== line) this.line.textContent = line;
    this.personButton.hidden = this.state === "waiting" || this.state === "assigned";
  }

  async showPassage(source, number, opener) {
    const { texts } = this;
    const text = make("p", { class: "text", tabindex: "0" }, texts.loading);
    const back = make("button", { class: "icon", type: "button", "aria-label": texts.back, onclick: () => this.hidePassage() }, icon(ICONS.back));
    const where = [source.page ? `${texts.page} ${source.page}` : "", source.heading || ""].filter(Boolean).join(" · ");
    this.opener = opener;
    this.passage.replaceChildren(make("div", { class: "top" }, back, make("div", {},
      make("h3", { id: "place" }, `${texts.source} ${number}: ${source.document}`), make("p", { class: "where" }, where))), text);
    this.passage.hidden = false;
    this.chat.forEach((part) => (part.inert = true));
    back.focus();
    try {
      const passage = await this.link.passage(source.chunk_id);
      text.replaceChildren(...highlighted(passage.text, passage.quote));
      text.querySelector("mark")?.scrollIntoView({ block: "center" });
    } catch {
      text.replaceChildren(texts.gone, "\n\n", make("mark", {}, source.quote));
    }
  }

  hidePassage() {
    this.passage.hidden = true;
    this.chat.forEach((part) => (part.inert = false));
    this.opener?.focus();
  }

  key(event) {
    event.stopPropagation(); // the shop's own shortcuts are not meant while somebody types here
    if (event.key === "Escape") {
      if (this.passage.hidden) this.close();
      else this.hidePassage();
    } else if (event.key === "Enter" && event.target === this.input && !event.shiftKey && !event.isComposing) {
      this.submit(event);
    } else if (event.key === "Tab" && this.panel.hasAttribute("data-modal")) {
      this.keepInside(event);
    }
  }

  keepInside(event) {
    const usable = [...this.panel.querySelectorAll("button, textarea, a, [tabindex='0']")].filter(
      (node) => !node.disabled && !node.closest("[inert], [hidden]"));
    const edge = event.shiftKey ? usable[0] : usable.at(-1);
    if (this.shadowRoot.activeElement !== edge) return;
    event.preventDefault();
    (event.shiftKey ? usable.at(-1) : usable[0]).focus();
  }

  fit() {
    this.sendButton.disabled = !this.input.value.trim();
    this.input.style.height = "auto";
    this.input.style.height = `${this.input.scrollHeight + 2}px`;
  }
}

if (!customElements.get("metachat-widget")) customElements.define("metachat-widget", MetachatWidget);

// <script src=".../widget.js" data-channel="..."> is all a page needs; the other data- attributes are optional.
if (SCRIPT?.dataset.channel) {
  const widget = document.createElement("metachat-widget");
  widget.setAttribute("server", new URL(SCRIPT.src).origin);
  for (const name of ["channel", "lang", "theme", "title", "greeting", "suggestions", "position"]) {
    if (SCRIPT.dataset[name]) widget.setAttribute(name, SCRIPT.dataset[name]);
  }
  if (document.body) document.body.append(widget);
  else document.addEventListener("DOMContentLoaded", () => document.body.append(widget));
}
