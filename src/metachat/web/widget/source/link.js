// The way to the server: a session, messages that arrive once, and a stream that comes back by itself.
const SILENCE = 40000; // the server sends something every 15 seconds

class Link extends EventTarget {
  constructor(server, channel, locale) {
    super();
    this.base = `${server}/chat/${encodeURIComponent(channel)}`;
    this.key = `metachat:${channel}`;
    this.locale = locale;
    this.seq = 0;
    this.tries = 0;
    this.sending = false;
    this.memory = this.load();
    addEventListener("online", () => this.wake());
    addEventListener("offline", () => this.tell("connection", "offline"));
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.wake());
  }

  load() {
    try {
      return { queue: [], ...JSON.parse(localStorage.getItem(this.key) || "{}") };
    } catch {
      return { queue: [] };
    }
  }

  // Other tabs of this shop write here too: only what is ours to change is changed.
  remember(changes) {
    this.memory = { ...this.load(), ...changes };
    try {
      localStorage.setItem(this.key, JSON.stringify(this.memory));
    } catch { /* private windows may forbid it: the chat then lasts as long as the page */ }
  }

  // A token that is refused belongs to a conversation that is over for us; what is queued goes to a new one.
  forget() {
    this.seq = 0;
    this.remember({ token: null, seen: 0 });
    this.tell("forgotten");
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  async call(path, options = {}) {
    const headers = { ...options.headers };
    if (this.memory.token) headers.Authorization = `Bearer ${this.memory.token}`;
    if (options.body) headers["Content-Type"] = "application/json";
    return fetch(this.base + path, { ...options, headers, credentials: "omit", cache: "no-store" });
  }

  async look() {
    const response = await this.call("/look");
    if (!response.ok) throw new Error(response.status);
    return response.json();
  }

  async session() {
    const response = await this.call("/sessions", { method: "POST", body: JSON.stringify({ locale: this.locale }) });
    if (!response.ok) throw response;
    const { token, conversation } = await response.json();
    this.remember({ token });
    this.tell("state", conversation);
    this.connect();
  }

  // Puts a message into the queue that outlives the page, and sends what is in it.
  send(text) {
    const key = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    const message = { text, client_key: key };
    this.remember({ queue: [...this.load().queue, message] });
    this.tell("queued", message);
    this.flush();
  }

  again(message) {
    if (!this.load().queue.some((other) => other.client_key === message.client_key)) {
      this.remember({ queue: [...this.load().queue, message] });
    }
    this.flush();
  }

  unqueue(key) {
    this.remember({ queue: this.load().queue.filter((message) => message.client_key !== key) });
  }

  async flush() {
    if (this.sending) return;
    this.sending = true;
    clearTimeout(this.retry);
    let pause = 0;
    try {
      for (let message; (message = this.load().queue[0]); ) {
        pause = await this.deliver(message);
        if (pause) break;
        this.sendTries = 0;
      }
    } finally {
      this.sending = false;
    }
    if (pause) this.retry = setTimeout(() => this.flush(), pause);
  }

  // Gives the milliseconds to wait before the next try; 0 when this message needs none any more.
  async deliver(message) {
    let response;
    try {
      if (!this.memory.token) await this.session();
      response = await this.call("/messages", { method: "POST", body: JSON.stringify(message) });
    } catch (failure) {
      response = failure instanceof Response ? failure : null;
    }
    if (response?.ok) {
      this.unqueue(message.client_key);
      this.tell("sent", { ...message, ...(await response.json().catch(() => ({}))) });
      return 0;
    }
    if (response?.status === 401) this.forget();
    this.sendTries = (this.sendTries || 0) + 1;
    if (!response || response.status === 401 || response.status === 429 || response.status >= 500) {
      this.tell("delayed", message);
      const asked = Number(response?.headers.get("Retry-After")) * 1000;
      return asked || Math.min(30000, 500 * 2 ** this.sendTries) * (0.5 + Math.random() / 2);
    }
    this.unqueue(message.client_key);
    this.tell("failed", { message, status: response.status });
    return 0;
  }

  async person() {
    if (!this.memory.token) await this.session();
    const response = await this.call("/hand-off", { method: "POST" });
    if (response.ok) this.tell("state", await response.json());
  }

  async passage(chunk) {
    const response = await this.call(`/passages/${chunk}`);
    if (!response.ok) throw new Error(response.status);
    return response.json();
  }

  wake() {
    this.tries = 0;
    this.flush();
    if (this.memory.token && !this.alive) this.connect();
  }

  async connect() {
    clearTimeout(this.reconnect);
    this.stop?.abort();
    const stop = (this.stop = new AbortController());
    let gone = false;
    try {
      const response = await this.call("/events", { signal: stop.signal, headers: { "Last-Event-ID": String(this.seq) } });
      if (response.status === 401 || response.status === 404) {
        gone = true;
        this.forget();
      }
      if (!response.ok) throw new Error(response.status);
      this.alive = true;
      this.tries = 0;
      this.tell("connection", "open");
      this.flush();
      await this.read(response.body.pipeThrough(new TextDecoderStream()).getReader(), stop);
    } catch { /* whatever broke the stream, the answer is the same: come back */ }
    if (stop !== this.stop) return;
    this.alive = false;
    if (gone) return void this.flush();
    this.tell("connection", navigator.onLine ? "lost" : "offline");
    const pause = this.tries++ ? Math.min(30000, 500 * 2 ** this.tries) * (0.5 + Math.random() / 2) : 100;
    this.reconnect = setTimeout(() => this.connect(), pause);
  }

  async read(reader, stop) {
    let buffer = "";
    for (;;) {
      const timer = setTimeout(() => stop.abort(), SILENCE);
      const { value, done } = await reader.read().finally(() => clearTimeout(timer));
      if (done) return;
      const frames = (buffer + value).split("\n\n");
      buffer = frames.pop();
      frames.forEach((frame) => this.take(frame));
    }
  }

  take(frame) {
    const fields = {};
    for (const line of frame.split("\n")) {
      const colon = line.indexOf(": ");
      if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
    }
    if (!fields.data) return;
    const data = JSON.parse(fields.data);
    if (fields.event === "message") {
      if (data.seq <= this.seq) return;
      this.seq = data.seq;
      if (data.client_key) this.unqueue(data.client_key);
    }
    this.tell(fields.event, data);
  }
}
