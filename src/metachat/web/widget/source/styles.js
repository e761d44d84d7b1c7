// A constructed sheet, so that a page's policy against inline styles does not strike it.
const STYLES = `
:host { all: initial; --accent: #1f5c46; --on-accent: #fff; --radius: 18px; --ground: #fff; --ink: #17211d; --soft: #5a6862;
  --line: #dfe5e1; --theirs: #f0f3f1; --mark: #ffe9a8; --mark-ink: #3b2f00; --alarm: #b3261e;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: var(--ink); color-scheme: light; }
@media (prefers-color-scheme: dark) { :host(:not([theme="light"])) { --ground: #161c19; --ink: #e9efec; --soft: #a3b2ab;
  --line: #303a35; --theirs: #232b27; --mark: #5c4a00; --mark-ink: #ffefbf; --alarm: #ffb4ab; --link: #8fd6b8; color-scheme: dark; } }
:host([theme="dark"]) { --ground: #161c19; --ink: #e9efec; --soft: #a3b2ab; --line: #303a35; --theirs: #232b27;
  --mark: #5c4a00; --mark-ink: #ffefbf; --alarm: #ffb4ab; --link: #8fd6b8; color-scheme: dark; }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; }
:focus-visible { outline: 3px solid var(--link, var(--accent)); outline-offset: 2px; border-radius: 8px; }
header :focus-visible { outline-color: var(--on-accent); }
svg { width: 24px; height: 24px; display: block; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
.out { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.launcher { position: fixed; inset-block-end: 20px; inset-inline-end: 20px; z-index: 2147483000; width: 60px; height: 60px; border-radius: 50%;
  background: var(--accent); color: var(--on-accent); display: grid; place-items: center; box-shadow: 0 6px 24px #0004; transition: transform .15s; }
.launcher:hover { transform: scale(1.05); }
.launcher:focus-visible { border-radius: 50%; outline-offset: 3px; }
.badge { position: absolute; inset-block-start: -4px; inset-inline-end: -4px; min-width: 22px; height: 22px; padding: 0 6px; border-radius: 11px;
  background: #b3261e; color: #fff; font-size: 12px; font-weight: 700; line-height: 22px; text-align: center; }
.panel { position: fixed; inset-block-end: 92px; inset-inline-end: 20px; z-index: 2147483001; width: min(400px, calc(100vw - 40px));
  height: min(640px, calc(100dvh - 112px)); display: flex; flex-direction: column; overflow: hidden; background: var(--ground);
  border: 1px solid var(--line); border-radius: var(--radius); box-shadow: 0 16px 56px #0005; animation: rise .18s ease-out; }
:host([position="left"]) .launcher { inset-inline: 20px auto; }
@media (min-width: 601px) { :host([position="left"]) .panel { inset-inline: 20px auto; } }
@keyframes rise { from { opacity: 0; transform: translateY(12px); } }
header { display: flex; align-items: center; gap: 12px; padding: 14px 12px 14px 18px; background: var(--accent); color: var(--on-accent); }
header div { flex: 1; min-width: 0; }
h2 { margin: 0; font-size: 16px; line-height: 1.3; font-weight: 650; }
.state { margin: 0; font-size: 13px; line-height: 1.35; opacity: .92; }
.icon { width: 44px; height: 44px; display: grid; place-items: center; border-radius: 10px; flex: none; }
.icon:hover { background: #fff2; }
.scroll { flex: 1; overflow-y: auto; overscroll-behavior: contain; padding: 16px; display: flex; flex-direction: column; gap: 12px; }
.log { display: flex; flex-direction: column; gap: 12px; }
.message { max-width: 86%; display: flex; flex-direction: column; gap: 4px; align-items: flex-start; align-self: flex-start; }
.customer { align-self: flex-end; align-items: flex-end; }
.who { font-size: 12px; color: var(--soft); padding-inline: 4px; }
.bubble { padding: 10px 14px; border-radius: var(--radius); border-end-start-radius: 5px; background: var(--theirs); overflow-wrap: anywhere; }
.customer .bubble { background: var(--accent); color: var(--on-accent); border-radius: var(--radius); border-end-end-radius: 5px; }
.agent .bubble { border: 1px solid var(--accent); }
.pending .bubble { opacity: .65; }
.system { align-self: center; align-items: center; text-align: center; }
.system .bubble { background: none; color: var(--soft); font-size: 13px; padding: 2px 12px; }
.bubble p, .bubble ul { margin: 0; }
.bubble :is(p, ul) + :is(p, ul) { margin-block-start: 8px; }
.bubble ul { padding-inline-start: 20px; }
a { color: inherit; text-decoration: underline; text-underline-offset: 2px; }
.cite { font-size: 12px; font-weight: 650; line-height: 20px; min-width: 22px; padding: 0 5px; margin-inline: 2px 0; border-radius: 7px; vertical-align: 1px;
  background: var(--ground); border: 1px solid var(--line); color: var(--link, var(--accent)); display: inline-block; text-align: center; }
button.cite { position: relative; }
button.cite::after { content: ""; position: absolute; inset: -3px; }
button.cite:hover, .chip:hover { border-color: currentColor; }
.sources { list-style: none; display: flex; flex-wrap: wrap; gap: 6px; margin: 2px 0 0; padding: 0; }
.chip { display: block; max-width: 100%; padding: 5px 11px; border: 1px solid var(--line); border-radius: 16px; font-size: 13px; line-height: 1.35;
  color: var(--link, var(--accent)); text-align: start; overflow-wrap: anywhere; background: var(--ground); min-height: 30px; }
.chip.ask { padding: 8px 14px; font-size: 14px; border-color: var(--link, var(--accent)); border-radius: 20px; min-height: 40px; }
.note { font-size: 12px; color: var(--soft); padding-inline: 4px; }
.note.bad { color: var(--alarm); }
.note button { text-decoration: underline; color: inherit; font-weight: 650; min-height: 24px; margin-inline-start: 6px; }
.dots { display: inline-flex; gap: 4px; padding: 6px 2px; }
.dots i { width: 7px; height: 7px; border-radius: 50%; background: var(--soft); animation: blink 1.2s infinite; }
.dots i:nth-child(2) { animation-delay: .2s; } .dots i:nth-child(3) { animation-delay: .4s; }
@keyframes blink { 0%, 60%, 100% { opacity: .25; } 30% { opacity: 1; } }
form { display: flex; align-items: flex-end; gap: 8px; padding: 10px 12px 6px; border-block-start: 1px solid var(--line); }
textarea { flex: 1; font: inherit; font-size: 16px; line-height: 1.4; color: inherit; background: var(--ground); border: 1px solid var(--soft); border-radius: 14px;
  padding: 10px 13px; resize: none; max-height: 132px; min-height: 44px; }
textarea::placeholder { color: var(--soft); opacity: 1; }
textarea:focus-visible { outline-width: 2px; outline-offset: -1px; border-radius: 14px; }
.send { width: 44px; height: 44px; border-radius: 14px; background: var(--accent); color: var(--on-accent); display: grid; place-items: center; flex: none; }
.send:disabled { opacity: .45; cursor: default; }
.foot { display: flex; justify-content: center; padding: 0 12px 8px; }
.link { font-size: 13px; color: var(--soft); text-decoration: underline; text-underline-offset: 3px; min-height: 32px; padding: 0 8px; }
.link:hover { color: var(--ink); }
.passage { position: absolute; inset: 0; background: var(--ground); display: flex; flex-direction: column; z-index: 1; animation: rise .15s ease-out; }
.passage .top { display: flex; align-items: center; gap: 8px; padding: 8px 12px; border-block-end: 1px solid var(--line); }
.passage .top .icon:hover { background: var(--theirs); }
.passage h3 { margin: 0; font-size: 15px; overflow-wrap: anywhere; }
.where { margin: 0; font-size: 13px; color: var(--soft); overflow-wrap: anywhere; }
.passage .text { flex: 1; overflow-y: auto; padding: 18px; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; }
mark { background: var(--mark); color: var(--mark-ink); border-radius: 3px; padding: 1px 0; }
@media (max-width: 600px) {
  .panel { inset: 0; width: 100%; height: 100dvh; border: 0; border-radius: 0; }
  :host([open]) .launcher { display: none; }
}
@media (prefers-reduced-motion: reduce) { *, *::before, *::after { animation: none !important; transition: none !important; } }
@media (forced-colors: active) { .bubble, .launcher, .send { border: 1px solid; } }
`;

function applyStyles(root) {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLES);
  root.adoptedStyleSheets = [sheet];
}
