// What goes wrong, and the business's side of things.
import { $, api, notice } from "./page.js";

const NAMES = { error: "error", status: "HTTP", timeout: "no answer", slow: "slow", cut: "cut before it counts", cut_after: "cut after acceptance" };

export function panel(phone, show) {
  let wait = 0;

  async function load() {
    const state = await api("GET", "state");
    const [business] = state.accounts;
    $("business").textContent = business.verified_name;
    $("face").textContent = business.verified_name.slice(0, 1);
    link(business, state.weather);
    for (const input of $("sky").elements) {
      if (!input.name || input === document.activeElement) continue;
      if (input.type === "checkbox") input.checked = state.weather[input.name];
      else input.value = input.dataset.unit ? state.weather[input.name] : state.weather[input.name] * 100;
      tell(input);
    }
    $("account").elements.grant.value = business.grant;
    $("account").elements.read.value = state.habits.read === null ? "never" : state.habits.read <= 1 ? "1" : "10";
    count(state);
  }

  function count(state) {
    $("rules").replaceChildren(...state.rules.map(described));
    const { posts, acknowledged, refused, unreachable } = state.deliveries;
    $("counts").textContent = `${acknowledged} updates acknowledged in ${posts} posts; ${refused} refused, ${unreachable} unreachable, ${state.waiting} waiting.`;
  }

  function link(business, weather) {
    const chip = $("link");
    const fine = business.callback && business.subscribed && !weather.offline;
    chip.className = `chip ${fine ? "good" : "bad"}`;
    chip.textContent = weather.offline ? "No network" : business.callback ? `Webhooks go to ${new URL(business.callback).host}` : "Not connected to a platform yet";
    chip.title = business.callback;
  }

  function described(rule) {
    const what = `${NAMES[rule.kind]} ${rule.code || (["slow", "timeout"].includes(rule.kind) ? `${rule.seconds} s` : "")}`;
    const often = rule.times ? `${rule.times - rule.hits} more` : rule.share < 1 ? `${rule.share * 100} %` : "always";
    return Object.assign(document.createElement("li"), { textContent: `${what.trim()} – ${often}` });
  }

  function tell(input) {
    const output = input.parentElement.querySelector("output");
    if (output) output.textContent = input.dataset.unit ? `${input.value} s` : `${input.value} %`;
  }

  async function change(path, body, method = "POST") {
    try {
      await api(method, path, body);
      await load();
    } catch (error) {
      notice(error.message);
    }
  }

  $("sky").addEventListener("input", ({ target }) => {
    tell(target);
    clearTimeout(wait);
    const value = target.type === "checkbox" ? target.checked : target.dataset.unit ? Number(target.value) : Number(target.value) / 100;
    wait = setTimeout(change, 150, "weather", { [target.name]: value });
  });
  $("trouble").addEventListener("submit", (event) => {
    event.preventDefault();
    const { what, often } = Object.fromEntries(new FormData(event.target));
    const [kind, number] = what.split(":");
    const rule = kind === "slow" || kind === "timeout" ? { kind, seconds: Number(number) } : { kind, code: Number(number) };
    if (often !== "always") Object.assign(rule, Number(often) < 1 ? { share: Number(often) } : { times: Number(often) });
    change("rules", rule);
  });
  $("clear").addEventListener("click", () => change("rules", undefined, "DELETE"));
  $("account").addEventListener("change", async ({ target }) => {
    if (target.name === "read") return change("habits", { read: target.value === "never" ? null : Number(target.value) });
    const [business] = (await api("GET", "state")).accounts;
    return change(`accounts/${business.phone_number_id}`, { grant: target.value });
  });
  $("idle").addEventListener("click", () => change(`phones/${phone()}/idle`, { hours: 25 }));
  $("echo").addEventListener("click", () => change(`phones/${phone()}/app`, { text: "Hello, this is Marko from the shop. I take over from here." }));
  $("burst").addEventListener("click", async () => {
    await change("burst", { rate: 20, count: 20, phones: 20, first: 385910000000 + Math.floor(Math.random() * 9) * 100, text: "What does delivery to Austria cost?" });
    show(phone());
  });
  $("seed").addEventListener("change", ({ target }) => change("seed", { seed: Number(target.value) }));
  setInterval(async () => { if (!document.hidden) await api("GET", "state").then(count, () => {}); }, 3000);

  return { load, lost() { $("link").className = "chip bad"; $("link").textContent = "The simulator is away; trying again …"; } };
}
