// Uploads with a progress bar each, and a list that follows the reading of the documents.
"use strict";

const form = document.getElementById("upload");
const documents = document.getElementById("documents");
const REFRESH = 1200;

function refresh() {
  if (!document.hidden) htmx.trigger(document.body, "documents");
}

// While something is being read, ask again shortly after each answer.
let next = 0;
function followReading() {
  clearTimeout(next);
  if (documents.querySelector("[data-busy]")) next = setTimeout(refresh, REFRESH);
}
document.addEventListener("htmx:after:swap", followReading);
document.addEventListener("visibilitychange", refresh);
followReading();

function line(file) {
  const item = document.createElement("li");
  const icon = document.createElement("span");
  icon.className = "fileicon";
  icon.setAttribute("aria-hidden", "true");
  icon.textContent = file.name.split(".").pop().slice(0, 4);
  const what = document.createElement("div");
  what.className = "what";
  const name = document.createElement("b");
  name.textContent = file.name;
  const bar = document.createElement("progress");
  bar.max = 100;
  bar.value = 0;
  bar.setAttribute("aria-label", `${form.dataset.uploading} ${file.name}`);
  const state = document.createElement("p");
  state.textContent = form.dataset.uploading;
  what.append(name, bar, state);
  item.append(icon, what);
  document.getElementById("uploads").append(item);
  return { item, bar, state };
}

function fail(row, sentence) {
  row.bar.remove();
  row.state.className = "wrong";
  row.state.textContent = sentence;
}

function reason(request) {
  try {
    const problem = JSON.parse(request.responseText);
    return problem.detail ? `${problem.title} ${problem.detail}` : problem.title;
  } catch {
    return form.dataset.failed;
  }
}

function send(file) {
  const row = line(file);
  if (file.size > Number(form.dataset.limit) * 1048576) {
    fail(row, form.dataset.tooLarge);
    return Promise.resolve();
  }
  return new Promise((done) => {
    const request = new XMLHttpRequest();
    request.open("POST", form.dataset.address);
    request.setRequestHeader("Accept", "application/json, application/problem+json");
    request.setRequestHeader("X-CSRF-Token", form.elements.csrf_token.value);
    request.upload.addEventListener("progress", (event) => {
      row.bar.value = (100 * event.loaded) / event.total;
      row.state.textContent = `${form.dataset.uploading} · ${Math.round(row.bar.value)} %`;
    });
    request.addEventListener("load", () => {
      if (request.status >= 400) fail(row, reason(request));
      else row.item.remove();
      refresh();
      done();
    });
    request.addEventListener("error", () => { fail(row, form.dataset.failed); done(); });
    const body = new FormData();
    body.append("file", file, file.name);
    request.send(body);
  });
}

async function sendAll(files) {
  document.getElementById("uploads").replaceChildren();
  for (const file of files) await send(file);
}

if (form) {
  const input = form.querySelector("input[type=file]");
  form.classList.add("ready");
  input.addEventListener("change", async () => {
    await sendAll([...input.files]);
    input.value = "";
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const kind of ["dragenter", "dragover"]) {
    window.addEventListener(kind, (event) => { event.preventDefault(); form.classList.add("over"); });
  }
  for (const kind of ["dragleave", "drop"]) {
    window.addEventListener(kind, (event) => {
      event.preventDefault();
      if (kind === "drop" || !event.relatedTarget) form.classList.remove("over");
    });
  }
  window.addEventListener("drop", (event) => sendAll([...event.dataTransfer.files]));
}
