// The page's middle: which phone, its messages, and news as they come.
import { bubble } from "./bubbles.js";
import { attachments } from "./attaching.js";
import { panel } from "./panel.js";

export const $ = (id) => document.getElementById(id);
const shown = { phone: "", phones: new Map(), messages: new Map(), quote: null, typing: 0 };

export async function api(method, path, body) {
  const headers = body instanceof Blob ? { "Content-Type": body.type } : { "Content-Type": "application/json" };
  const sent = body === undefined || body instanceof Blob ? body : JSON.stringify(body);
  const answer = await fetch(`/_simulator/${path}`, { method, headers, body: sent });
  const document_ = await answer.json();
  if (!answer.ok) throw new Error(document_.error || `error ${answer.status}`);
  return document_;
}

export function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

export async function says(said) {
  notice("");
  try {
    const quote = shown.quote && !["reaction", "edit", "delete", "button", "list"].includes(said.type) ? { reply_to: shown.quote } : {};
    await api("POST", `phones/${shown.phone}/messages`, { ...quote, ...said });
    quoteNothing();
  } catch (error) {
    notice(error.message);
  }
}

function quoteNothing() {
  shown.quote = null;
  $("quoting").hidden = true;
}

function quote(message) {
  shown.quote = message.id;
  $("quoting").querySelector("span").textContent = message.text;
  $("quoting").hidden = false;
  $("say").focus();
}

async function show(phone) {
  shown.phone = phone;
  localStorage.setItem("phone", phone);
  const messages = await api("GET", `phones/${phone}/thread?limit=200`);
  shown.messages = new Map(messages.map((message) => [message.id, message]));
  $("thread").replaceChildren(...messages.map((message) => bubble(message, shown.messages, actions)));
  $("thread").scrollTop = $("thread").scrollHeight;
  const owner = shown.phones.get(phone);
  $("whose").textContent = owner ? (owner.name.startsWith("Phone ") ? `+${owner.phone}` : `${owner.name}’s phone`) : "";
  typing(0);
  quoteNothing();
  listPhones();
}

const actions = {
  says, quote,
  edit(message) {
    const text = prompt("New text", message.text);
    if (text) says({ type: "edit", message: message.id, text });
  },
  chooses(title, rows, choose) {
    $("choices-title").textContent = title;
    $("rows").replaceChildren(...rows.map((row) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = row.title;
      if (row.description) button.append(Object.assign(document.createElement("small"), { textContent: row.description }));
      button.addEventListener("click", () => { $("choices").close(); choose(row); });
      return button;
    }));
    $("choices").showModal();
  },
};

function arrive(message) {
  const phone = shown.phones.get(message.phone);
  if (phone && (!phone.latest || message.at >= phone.latest.at)) phone.latest = { text: message.text, at: message.at };
  if (message.phone !== shown.phone) return listPhones();
  const known = shown.messages.has(message.id);
  shown.messages.set(message.id, message);
  const made = bubble(message, shown.messages, actions);
  const list = $("thread"), low = list.scrollHeight - list.scrollTop - list.clientHeight < 120;
  const old = known && list.querySelector(`[data-id="${CSS.escape(message.id)}"]`);
  if (old) {
    const held = old.contains(document.activeElement) && document.activeElement.className;
    const player = old.querySelector("audio, video, img");
    if (player && made.querySelector("audio, video, img")) made.querySelector("audio, video, img").replaceWith(player);
    old.replaceWith(made);
    if (held) made.querySelector(`.${held.split(" ")[0]}`)?.focus();
  } else {
    made.classList.add("new");
    list.append(made);
    if (message.from === "business") typing(0);
  }
  if (low || (!known && message.from === "phone")) list.scrollTop = list.scrollHeight;
  listPhones();
}

function typing(seconds) {
  clearTimeout(shown.typing);
  $("presence").innerHTML = seconds ? '<span class="dots">typing …</span>' : "";
  if (seconds) shown.typing = setTimeout(typing, seconds * 1000, 0);
}

function listPhones() {
  const time = (at) => new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const sorted = [...shown.phones.values()].sort((a, b) => (b.latest?.at ?? 0) - (a.latest?.at ?? 0)).slice(0, 60);
  $("phones").replaceChildren(...sorted.map((phone) => {
    const item = document.createElement("li"), button = document.createElement("button");
    button.type = "button";
    button.innerHTML = '<span class="face" aria-hidden="true"></span><div class="words"><strong></strong><span></span></div><time></time>';
    button.querySelector(".face").textContent = phone.name.slice(0, 1).toUpperCase();
    button.querySelector("strong").textContent = phone.name;
    button.querySelector(".words span").textContent = phone.latest ? phone.latest.text : `+${phone.phone}`;
    if (phone.latest) button.querySelector("time").textContent = time(phone.latest.at);
    if (phone.phone === shown.phone) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => { show(phone.phone); toggle("people", false); });
    item.append(button);
    return item;
  }));
}

function toggle(name, open = !$(name).classList.contains("open")) {
  for (const other of ["people", "weather"]) {
    const is = other === name && open;
    $(other).classList.toggle("open", is);
    $(`to-${other}`).setAttribute("aria-expanded", String(is));
  }
}

async function load() {
  const phones = await api("GET", "phones?limit=500");
  shown.phones = new Map(phones.map((phone) => [phone.phone, phone]));
  if (!phones.length) shown.phones.set("385911234567", await api("POST", "phones", { phone: "385911234567", name: "Ana" }));
  const wanted = [shown.phone, localStorage.getItem("phone")].find((one) => shown.phones.has(one));
  await show(wanted ?? shown.phones.keys().next().value);
}

function watch(weather) {
  const live = new EventSource("/_simulator/live");
  const refresh = async () => { await weather.load(); await load(); };
  live.onopen = refresh;
  live.onerror = () => weather.lost();
  live.onmessage = ({ data }) => {
    const news = JSON.parse(data);
    if (news.event === "message") arrive(news.message);
    else if (news.event === "typing" && news.phone === shown.phone) typing(news.seconds);
    else if (news.event === "phone") { shown.phones.set(news.phone.phone, { ...shown.phones.get(news.phone.phone), ...news.phone }); listPhones(); }
    else if (news.event === "weather") weather.load();
    else if (news.event === "lost") refresh();
  };
}

function writing() {
  const send = () => {
    const text = $("say").value;
    if (!text.trim()) return;
    $("say").value = "";
    says({ text });
  };
  $("composer").addEventListener("submit", (event) => { event.preventDefault(); send(); });
  $("say").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
  });
  $("quoting").querySelector("button").addEventListener("click", quoteNothing);
  $("add").addEventListener("submit", async (event) => {
    event.preventDefault();
    const given = new FormData(event.target);
    const about = { phone: given.get("phone"), name: given.get("name"), without_number: given.has("without_number") };
    try {
      const made = await api("POST", "phones", about.without_number ? { ...about, username: about.name } : about);
      shown.phones.set(made.phone, made);
      event.target.reset();
      await show(made.phone);
      toggle("people", false);
    } catch (error) {
      notice(error.message);
    }
  });
}

for (const name of ["people", "weather"]) $(`to-${name}`).addEventListener("click", () => toggle(name));
document.addEventListener("keydown", (event) => { if (event.key === "Escape") toggle("people", false); });
for (const button of document.querySelectorAll("[data-close]")) button.addEventListener("click", () => button.closest("dialog").close());
for (const dialog of document.querySelectorAll("dialog")) dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
writing();
attachments(() => shown.phone);
watch(panel(() => shown.phone, (phone) => show(phone)));
