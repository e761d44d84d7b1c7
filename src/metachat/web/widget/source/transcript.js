// The visible conversation: finished messages in a log that is read aloud, the one in the making beside it.
class Transcript {
  constructor(texts, actions) {
    this.texts = texts;
    this.actions = actions;
    this.mine = new Map(); // client key -> our own message, until the server's copy takes its place
    this.done = new Set();
    this.draft = { id: null, text: "" };
    this.log = make("div", { class: "log", role: "log", "aria-live": "polite", "aria-label": texts.log, tabindex: "-1" });
    this.live = make("div", { class: "message", "aria-hidden": "true", hidden: true });
    this.status = make("p", { class: "out", role: "status" });
    this.start = make("div", { class: "log" });
    this.node = make("div", { class: "scroll", tabindex: "-1" }, this.start, this.log, this.live, this.status);
  }

  greet(greeting, suggestions) {
    this.start.replaceChildren(
      make("div", { class: "message" }, make("div", { class: "bubble" }, ...formatted(greeting, this.plain)),
        suggestions.length && !this.log.hasChildNodes() ? make("ul", { class: "sources" }, ...suggestions.map((text) =>
          make("li", {}, make("button", { class: "chip ask", type: "button", onclick: () => this.actions.ask(text) }, text)))) : null),
    );
  }

  // Suggestions are for those who have not asked yet.
  begun() {
    this.start.querySelector(".sources")?.remove();
  }

  clear() {
    this.log.replaceChildren(...[...this.mine.values()].map((entry) => entry.node));
    this.done.clear();
    this.drop();
  }

  plain(number) {
    return make("span", { class: "cite" }, String(number));
  }

  // Our own message, before the server has it.
  pending(message) {
    if (this.mine.has(message.client_key)) return this.note(message.client_key, "sending");
    const node = make("div", { class: "message customer pending" }, make("span", { class: "out" }, `${this.texts.you}:`),
      make("div", { class: "bubble" }, ...formatted(message.text, (number) => `[${number}]`)), make("div", { class: "note" }));
    this.mine.set(message.client_key, { node, message });
    this.begun();
    this.log.append(node);
    this.note(message.client_key, "sending");
    this.bottom(true);
  }

  note(key, state, retry) {
    const entry = this.mine.get(key);
    if (!entry) return;
    const note = entry.node.querySelector(".note");
    entry.node.classList.toggle("pending", state !== "sent");
    note.classList.toggle("bad", state === "failed" || state === "long");
    note.replaceChildren(state === "sent" ? "" : this.texts[state]);
    if (retry) note.append(make("button", { type: "button", onclick: () => this.actions.again(entry.message) }, this.texts.again));
  }

  message(message) {
    if (this.done.has(message.id)) return;
    const near = this.isNearBottom();
    this.done.add(message.id);
    this.begun();
    if (message.id === this.draft.id || message.author !== "customer") this.drop();
    const mine = message.client_key && this.mine.get(message.client_key);
    this.mine.delete(message.client_key);
    const node = this.render(message);
    if (mine) mine.node.replaceWith(node);
    else this.log.append(node);
    // What waits for its turn stays below what is settled.
    for (const { node: waiting } of this.mine.values()) this.log.append(waiting);
    this.bottom(near || message.author === "customer");
  }

  render(message) {
    const { texts } = this;
    const cite = (number) => {
      const source = message.citations[number - 1];
      if (!source) return message.author === "customer" ? `[${number}]` : this.plain(number);
      return make("button", { class: "cite", type: "button", "aria-label": `${texts.source} ${number}: ${this.place(source)}`,
        onclick: (event) => this.actions.open(source, number, event.currentTarget) }, String(number));
    };
    const who = texts[{ customer: "you", assistant: "assistant", agent: "agent" }[message.author]];
    return make("div", { class: `message ${message.author}` },
      who ? make("span", { class: message.author === "customer" ? "out" : "who" }, message.author === "customer" ? `${who}:` : who) : null,
      make("div", { class: "bubble" }, ...formatted(message.text, cite)),
      message.citations.length ? make("ul", { class: "sources", "aria-label": texts.sources }, ...message.citations.map((source, index) =>
        make("li", {}, make("button", { class: "chip", type: "button",
          onclick: (event) => this.actions.open(source, index + 1, event.currentTarget) }, `${index + 1} · ${this.place(source)}`)))) : null,
      message.declined ? make("button", { class: "chip ask", type: "button", onclick: () => this.actions.person() }, texts.person) : null);
  }

  place(source) {
    const where = source.page ? `${this.texts.page} ${source.page}` : (source.heading || "").split(" > ").pop();
    return where ? `${source.document}, ${where}` : source.document;
  }

  // A piece of an answer in the making; pieces may come twice, never with a gap.
  token({ message, offset, text }) {
    if (this.done.has(message)) return;
    if (this.draft.id !== message) this.draft = { id: message, text: "" };
    if (offset > this.draft.text.length || offset + text.length <= this.draft.text.length) return;
    this.draft.text = this.draft.text.slice(0, offset) + text;
    this.showDraft(formatted(this.draft.text.replace(/\s*\[\d*$/, ""), this.plain));
  }

  writing() {
    if (!this.draft.id) this.showDraft([make("span", { class: "dots" }, make("i"), make("i"), make("i"))]);
    this.status.textContent = this.texts.writing;
  }

  showDraft(blocks) {
    const near = this.isNearBottom();
    this.live.replaceChildren(make("span", { class: "who" }, this.texts.assistant), make("div", { class: "bubble" }, ...blocks));
    this.live.hidden = false;
    this.bottom(near);
  }

  drop() {
    this.draft = { id: null, text: "" };
    this.live.hidden = true;
    this.status.textContent = "";
  }

  isNearBottom() {
    return this.node.scrollHeight - this.node.scrollTop - this.node.clientHeight < 80;
  }

  bottom(wanted) {
    if (wanted) this.node.scrollTop = this.node.scrollHeight;
  }
}
