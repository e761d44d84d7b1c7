// The test chat: the same addresses as the widget on a website, streamed tokens, sources that open the passage.
"use strict";

const stage = document.getElementById("chat");
const talk = document.getElementById("talk");
const say = document.getElementById("say");
const text = document.getElementById("text");
const problem = document.getElementById("chat-problem");
const words = stage.dataset;
const base = `/chat/${words.channel}`;
const store = `metachat-test-${words.channel}`;

let session = null;
let latest = 0;
let listening = null;
let draft = null;
const shown = new Set();

const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

function call(path, options = {}) {
  const headers = { "Content-Type": "application/json" };
  if (session) headers.Authorization = `Bearer ${session.token}`;
  return fetch(base + path, { ...options, headers: { ...headers, ...options.headers } });
}

async function begin() {
  const kept = JSON.parse(sessionStorage.getItem(store) || "null");
  session = kept;
  const response = await call("/sessions", { method: "POST", body: JSON.stringify({ locale: navigator.language }) });
  if (!response.ok) {
    session = null;
    throw new Error(String(response.status));
  }
  const begun = await response.json();
  session = { token: begun.token, conversation: begun.conversation.id };
  sessionStorage.setItem(store, JSON.stringify(session));
  listen();
}

async function listen() {
  const mine = new AbortController();
  if (listening) listening.abort();
  listening = mine;
  let pause = 500;
  while (!mine.signal.aborted) {
    try {
      const response = await call("/events", { headers: { "Last-Event-ID": String(latest) }, signal: mine.signal });
      if (response.status === 401) return restart();
      if (!response.ok) throw new Error(String(response.status));
      tell("");
      pause = 500;
      await read(response.body.getReader());
    } catch {
      if (mine.signal.aborted) return;
      tell(words.lost);
    }
    await wait(pause);
    pause = Math.min(pause * 2, 8000);
  }
}

async function read(reader) {
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += decoder.decode(value, { stream: true });
    const events = rest.split("\n\n");
    rest = events.pop();
    for (const event of events) take(event);
  }
}

function take(event) {
  const fields = Object.fromEntries(event.split("\n").map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).trimStart()];
  }));
  if (!fields.event) return;
  const data = JSON.parse(fields.data);
  if (fields.event === "message") showMessage(data);
  if (fields.event === "token") showToken(data);
}

function near() {
  return talk.scrollHeight - talk.scrollTop - talk.clientHeight < 120;
}

function reveal() {
  document.getElementById("chat-empty").hidden = true;
  document.getElementById("again").hidden = false;
  talk.hidden = false;
}

function bubble(author) {
  reveal();
  const article = document.createElement("article");
  article.className = `bubble ${author}`;
  const said = document.createElement("div");
  said.className = "said";
  article.append(said);
  talk.append(article);
  return article;
}

function typing() {
  if (draft) return;
  draft = { article: bubble("assistant"), id: null, text: "" };
  const dots = document.createElement("span");
  dots.className = "typing";
  dots.setAttribute("role", "img");
  dots.setAttribute("aria-label", words.typing);
  dots.append(...[1, 2, 3].map(() => document.createElement("i")));
  draft.article.firstChild.append(dots);
  talk.scrollTop = talk.scrollHeight;
}

function showToken({ message, offset, text: piece }) {
  const stick = near();
  typing();
  if (draft.id !== message) Object.assign(draft, { id: message, text: "" });
  // Characters as the server counts them: code points, not UTF-16 units.
  const letters = [...draft.text];
  if (offset > letters.length) return;
  draft.text = letters.slice(0, offset).join("") + piece;
  draft.article.setAttribute("aria-busy", "true");
  draft.article.firstChild.textContent = draft.text;
  if (stick) talk.scrollTop = talk.scrollHeight;
}

function showMessage(message) {
  latest = Math.max(latest, message.seq);
  if (shown.has(message.id)) return;
  shown.add(message.id);
  const stick = near();
  if (message.author === "customer") {
    const waiting = message.client_key && talk.querySelector(`[data-key="${CSS.escape(message.client_key)}"]`);
    if (waiting) return;
  } else if (draft) {
    draft.article.remove();
    draft = null;
  }
  const article = bubble(message.author);
  article.firstChild.append(...withReferences(message));
  if (message.citations.length) article.append(sources(message.citations));
  if (message.author !== "system") article.append(footer(message));
  if (draft) talk.append(draft.article);
  if (stick || message.author === "customer") talk.scrollTop = talk.scrollHeight;
}

function passageAddress(citation) {
  return `/dashboard/passages/${citation.chunk_id}?conversation=${session.conversation}`;
}

function withReferences(message) {
  return message.text.split(/(\[\d{1,2}\])/).map((part) => {
    const number = /^\[(\d{1,2})\]$/.exec(part);
    const citation = number && message.citations[Number(number[1]) - 1];
    if (!citation) return part;
    const link = document.createElement("a");
    link.className = "ref";
    link.href = passageAddress(citation);
    link.dataset.dialog = "";
    link.title = citation.document;
    link.textContent = number[1];
    return link;
  });
}

function sources(citations) {
  const list = document.createElement("div");
  list.className = "sources";
  list.setAttribute("aria-label", words.sources);
  list.setAttribute("role", "group");
  citations.forEach((citation, index) => {
    const link = document.createElement("a");
    link.className = "source";
    link.href = passageAddress(citation);
    link.dataset.dialog = "";
    const number = document.createElement("b");
    number.textContent = index + 1;
    const name = document.createElement("span");
    name.textContent = citation.document;
    link.append(number, name);
    if (citation.page) {
      const page = document.createElement("i");
      page.textContent = words.page.replace("{n}", citation.page);
      link.append(page);
    }
    list.append(link);
  });
  return list;
}

function footer(message) {
  const who = document.createElement("p");
  who.className = "who";
  const name = { customer: words.you, assistant: words.assistant, agent: words.person }[message.author];
  const clock = new Intl.DateTimeFormat(document.documentElement.lang, { timeStyle: "short" });
  who.textContent = `${name} · ${clock.format(new Date(message.created_at))}`;
  if (message.declined) {
    const badge = document.createElement("span");
    badge.className = "badge warn bare";
    badge.textContent = words.declined;
    who.append(" ", badge);
  }
  return who;
}

function tell(sentence) {
  problem.textContent = sentence;
  problem.hidden = !sentence;
}

async function ask(question) {
  const key = crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2).padEnd(12, "0");
  const article = bubble("customer");
  article.dataset.key = key;
  article.firstChild.textContent = question;
  typing();
  await deliver(article, question, key);
}

async function deliver(article, question, key) {
  try {
    if (!session) await begin();
    const response = await call("/messages", { method: "POST", body: JSON.stringify({ text: question, client_key: key }) });
    if (!response.ok) throw new Error(String(response.status));
    tell("");
  } catch {
    if (draft) draft.article.remove();
    draft = null;
    offerAgain(article, question, key);
  }
}

function offerAgain(article, question, key) {
  const again = document.createElement("button");
  again.type = "button";
  again.className = "button little danger";
  again.textContent = words.notSent;
  again.addEventListener("click", () => { again.remove(); typing(); deliver(article, question, key); });
  article.append(again);
}

function restart() {
  if (listening) listening.abort();
  sessionStorage.removeItem(store);
  session = null;
  draft = null;
  latest = 0;
  shown.clear();
  talk.replaceChildren();
  talk.hidden = true;
  document.getElementById("chat-empty").hidden = false;
  document.getElementById("again").hidden = true;
  text.focus();
}

say.addEventListener("submit", (event) => {
  event.preventDefault();
  const question = text.value.trim();
  if (!question) return;
  text.value = "";
  ask(question);
});
text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  say.requestSubmit();
});
for (const button of document.querySelectorAll("[data-suggest]")) {
  button.addEventListener("click", () => ask(button.textContent));
}
document.getElementById("again").addEventListener("click", restart);
window.addEventListener("pagehide", () => listening && listening.abort());
if (sessionStorage.getItem(store)) begin().catch(restart);
