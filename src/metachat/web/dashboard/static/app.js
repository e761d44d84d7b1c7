// What every page shares: local times, dialogs over links, copy buttons, live pages. Without it all still works.
"use strict";

document.documentElement.classList.add("js");

const closeTo = { dateStyle: "medium", timeStyle: "short" };
const sameDay = { timeStyle: "short" };

function showLocalTimes() {
  const language = document.documentElement.lang;
  for (const element of document.querySelectorAll("time[datetime]")) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    const today = moment.toDateString() === new Date().toDateString();
    const text = new Intl.DateTimeFormat(language, today ? sameDay : closeTo).format(moment);
    if (element.textContent !== text) element.textContent = text;
    element.title = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "long" }).format(moment);
  }
}

function showCopyButtons(root) {
  for (const button of root.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard;
}

async function copy(button) {
  const label = button.querySelector("span");
  const before = label.textContent;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  label.textContent = button.dataset.done;
  setTimeout(() => { label.textContent = before; }, 2000);
}

// A link with data-dialog opens the panel of its page over this one; any surprise simply follows the link.
async function openDialog(href) {
  const response = await fetch(href, { headers: { Accept: "text/html" } }).catch(() => null);
  const page = response && new DOMParser().parseFromString(await response.text(), "text/html");
  const panel = page && page.getElementById("panel");
  if (!panel || response.redirected) {
    location.href = href;
    return;
  }
  const dialog = document.getElementById("dialog");
  document.getElementById("dialog-body").replaceChildren(document.adoptNode(panel));
  const heading = panel.querySelector("h1");
  if (heading) {
    heading.id = "dialog-title";
    dialog.setAttribute("aria-labelledby", heading.id);
  }
  showCopyButtons(panel);
  showLocalTimes();
  dialog.showModal();
  const first = panel.querySelector("input:not([type=hidden]), select, textarea");
  if (first) first.focus();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-dialog]");
  if (link && !(event.metaKey || event.ctrlKey || event.shiftKey || event.button)) {
    event.preventDefault();
    openDialog(link.href);
    return;
  }
  const shut = event.target.closest("dialog [data-shut]");
  if (shut || event.target.id === "dialog") {
    event.preventDefault();
    document.getElementById("dialog").close();
    return;
  }
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
  for (const open of document.querySelectorAll("details.pop[open], details.me[open]")) {
    if (!open.contains(event.target)) open.open = false;
  }
});

// Which file goes along with a reply; a page that was refreshed forgets it, the form doesn't.
function showPicked() {
  const input = document.querySelector(".clip input");
  if (!input) return;
  const file = input.files[0];
  input.closest(".clip").classList.toggle("chosen", Boolean(file));
  document.getElementById("picked").textContent = file ? file.name : "";
}

document.addEventListener("change", (event) => {
  if (event.target.matches(".clip input")) showPicked();
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    for (const open of document.querySelectorAll("details.pop[open], details.me[open]")) open.open = false;
  }
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target.matches("[data-enter]")) {
    event.preventDefault();
    if (event.target.value.trim()) event.target.form.requestSubmit();
  }
});

document.addEventListener("change", (event) => {
  const form = event.target.closest("[data-autosubmit]");
  if (form) form.requestSubmit();
});

// One press, one request: a second submit of the same form is dropped.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
  setTimeout(() => { delete event.target.dataset.sent; }, 3000);
});

// A transcript stays at its latest message, unless its reader has scrolled up.
let following = true;
document.addEventListener("scroll", ({ target }) => {
  if (!target.matches?.("[data-bottom]")) return;
  following = target.scrollHeight - target.scrollTop - target.clientHeight < 80;
}, true);

function scrollToLatest() {
  if (!following) return;
  for (const element of document.querySelectorAll("[data-bottom]")) element.scrollTop = element.scrollHeight;
}

function listen() {
  const address = document.body.dataset.live;
  if (!address) return;
  const source = new EventSource(address);
  source.addEventListener("changed", () => htmx.trigger(document.body, "conversations"));
  window.addEventListener("pagehide", () => source.close());
}

document.addEventListener("htmx:after:swap", () => { showLocalTimes(); showPicked(); scrollToLatest(); });
showLocalTimes();
showCopyButtons(document);
scrollToLatest();
listen();
