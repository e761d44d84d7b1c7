// One message, as a phone shows it.
const EMOJIS = ["👍", "❤️", "😂", "😮", "😢", "🙏"];
const TICKS = { waiting: "🕓", accepted: "🕓", sent: "✓", delivered: "✓✓", read: "✓✓", played: "✓✓", failed: "!" };
const MINE = { waiting: "on its way", delivered: "delivered to the business", read: "read by the business" };

const make = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

export function bubble(message, others, actions) {
  const mine = message.from === "phone";
  const item = make("article", { className: `bubble${mine ? " mine" : ""}` });
  item.dataset.id = message.id;
  const quoted = message.reply_to && others.get(message.reply_to);
  if (quoted) item.append(make("blockquote", { textContent: quoted.text }));
  if (message.deleted) item.append(make("span", { className: "deleted", textContent: "This message was deleted." }));
  else item.append(...content(message, actions));
  item.append(footer(message, mine, actions));
  if (message.error) {
    const why = `${message.error.code}: ${message.error.error_data?.details || message.error.title}`;
    item.append(make("div", { className: "why", textContent: why }));
  }
  const reactions = Object.values(message.reactions).filter(Boolean);
  if (reactions.length) {
    item.classList.add("has-reactions");
    item.append(make("span", { className: "reactions", textContent: reactions.join(" "), ariaLabel: `Reactions: ${reactions.join(" ")}` }));
  }
  return item;
}

function footer(message, mine, actions) {
  const at = new Date(message.at * 1000);
  const time = make("time", { textContent: at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }), dateTime: at.toISOString() });
  const told = mine ? MINE[message.step] ?? message.step : `the business was told: ${message.step}`;
  const ticks = make("span", { className: `ticks ${message.step}`, textContent: TICKS[message.step], title: told, role: "img", ariaLabel: told });
  const more = make("button", { type: "button", className: "more", textContent: "⋯", ariaLabel: `React or reply to: ${message.text.slice(0, 60)}` });
  more.addEventListener("click", () => menu(message, mine, actions));
  const edited = message.edited ? [make("span", { textContent: "edited" })] : [];
  return make("div", { className: "meta" }, more, ...edited, time, ticks);
}

function menu(message, mine, actions) {
  const dialog = document.getElementById("menu");
  const act = (label, does) => {
    const button = make("button", { type: "button", textContent: label });
    button.addEventListener("click", () => { dialog.close(); does(); });
    return button;
  };
  const react = (emoji) => actions.says({ type: "reaction", message: message.id, emoji });
  const emojis = EMOJIS.map((emoji) => Object.assign(act(emoji, () => react(emoji)), { ariaLabel: `React with ${emoji}` }));
  document.getElementById("emojis").replaceChildren(...emojis);
  const acts = [act("Reply", () => actions.quote(message))];
  if (message.reactions.phone) acts.push(act("Take the reaction back", () => react("")));
  if (mine && message.type === "text") acts.push(act("Edit", () => actions.edit(message)));
  if (mine) acts.push(act("Delete", () => actions.says({ type: "delete", message: message.id })));
  for (const button of acts) button.className = "quiet";
  document.getElementById("actions").replaceChildren(...acts);
  dialog.showModal();
}

function content(message, actions) {
  const { type, body } = message;
  if (["image", "sticker", "video", "audio", "document"].includes(type)) return media(type, body);
  if (type === "interactive" && message.from === "business") return interactive(message, actions);
  if (type === "template") return template(message, actions);
  if (type === "location") {
    const place = [body.name, body.address].filter(Boolean).join(", ");
    return [text(`📍 ${place || "Location"}\n${body.latitude}, ${body.longitude}`)];
  }
  if (type === "contacts") {
    const names = (Array.isArray(body) ? body : []).map((card) => card.name?.formatted_name).filter(Boolean);
    return [text(`👤 ${names.join(", ") || "Contact"}`)];
  }
  return [text(message.text)];
}

// WhatsApp's own marks: *bold*, _italic_, ~struck~, `code`; links are shown as such.
function text(said) {
  const made = make("div", { className: "text" });
  const marks = /(\*[^*\n]+\*|_[^_\n]+_|~[^~\n]+~|`[^`\n]+`|https?:\/\/[^\s<>"]+)/g;
  const tags = { "*": "strong", _: "em", "~": "s", "`": "code" };
  for (const part of String(said).split(marks)) {
    const tag = tags[part[0]];
    if (/^https?:\/\//.test(part)) made.append(make("a", { href: part, textContent: part, rel: "noreferrer noopener", target: "_blank" }));
    else if (tag && part.length > 2 && part.endsWith(part[0])) made.append(make(tag, { textContent: part.slice(1, -1) }));
    else made.append(part);
  }
  return made;
}

function media(type, body) {
  const src = body.id ? `/_simulator/media/${body.id}` : "";
  const caption = body.caption ? [text(body.caption)] : [];
  if (!src) return [text(`[${type}] ${body.link ?? ""}`), ...caption];
  if (type === "image" || type === "sticker") return [make("img", { src, alt: body.caption || "Picture" }), ...caption];
  if (type === "video") return [make("video", { src, controls: true }), ...caption];
  if (type === "audio") return [make("audio", { src, controls: true, ariaLabel: "Voice note" })];
  return [make("a", { href: src, download: body.filename || "document", textContent: `📄 ${body.filename || "Document"}` }), ...caption];
}

function interactive(message, actions) {
  const { body } = message, action = body.action ?? {};
  const made = [text([body.header?.text && `*${body.header.text}*`, body.body?.text, body.footer?.text && `_${body.footer.text}_`].filter(Boolean).join("\n"))];
  const answers = make("div", { className: "answers" });
  for (const { reply } of action.buttons ?? []) {
    answers.append(answer(reply.title, () => actions.says({ type: "button", id: reply.id, title: reply.title, reply_to: message.id })));
  }
  if (body.type === "list") {
    const rows = (action.sections ?? []).flatMap((section) => section.rows ?? []);
    const choose = (row) => actions.says({ type: "list", ...row, reply_to: message.id });
    answers.append(answer(action.button ?? "Choose", () => actions.chooses(action.button ?? "Choose", rows, choose)));
  }
  if (body.type === "cta_url") made.push(text(action.parameters?.url ?? ""));
  return answers.children.length ? [...made, answers] : made;
}

function template(message, actions) {
  const answers = make("div", { className: "answers" });
  for (const title of message.buttons ?? []) {
    answers.append(answer(title, () => actions.says({ type: "button", title, reply_to: message.id })));
  }
  return answers.children.length ? [text(message.text), answers] : [text(message.text)];
}

function answer(title, does) {
  const button = make("button", { type: "button", textContent: title });
  button.addEventListener("click", does);
  return button;
}
