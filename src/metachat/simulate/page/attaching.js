// What can be sent besides words.
import { $, api, notice, says } from "./page.js";

const VOICES = ["audio/ogg;codecs=opus", "audio/mp4;codecs=opus", "audio/mp4", "audio/webm;codecs=opus"];

async function send(type, blob, more = {}) {
  try {
    const { id } = await api("POST", `media?name=${encodeURIComponent(more.filename ?? "")}`, blob);
    await says({ type, media: id, caption: $("say").value.trim() || undefined, ...more });
    if (type !== "audio") $("say").value = "";
  } catch (error) {
    notice(error.message);
  }
}

function pick(accept, chosen) {
  const input = $("file");
  input.accept = accept;
  input.onchange = () => { if (input.files[0]) chosen(input.files[0]); input.value = ""; };
  input.click();
}

function picture() {
  const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 420 });
  const brush = canvas.getContext("2d");
  const fill = (colour, draw) => { brush.fillStyle = colour; brush.beginPath(); draw(); brush.fill(); };
  fill("#dfe9e2", () => brush.rect(0, 0, 640, 420));
  fill("#f2c14e", () => brush.arc(500, 100, 46, 0, 7));
  fill("#7fa894", () => { brush.moveTo(0, 320); brush.lineTo(220, 120); brush.lineTo(420, 320); });
  fill("#1f5c46", () => { brush.moveTo(240, 340); brush.lineTo(440, 170); brush.lineTo(640, 340); });
  fill("#b85f28", () => { brush.moveTo(120, 380); brush.lineTo(230, 230); brush.lineTo(340, 380); });
  fill("#17382c", () => brush.rect(0, 340, 640, 80));
  canvas.toBlob((blob) => send("image", blob), "image/jpeg", 0.85);
}

const voice = { recorder: null };

// Without a microphone, three tones stand in for a voice, so that a voice note can always be tried.
async function sound() {
  try {
    return { stream: await navigator.mediaDevices.getUserMedia({ audio: true }), seconds: 0 };
  } catch {
    const context = new AudioContext(), out = context.createMediaStreamDestination(), tone = context.createOscillator();
    [440, 550, 660].forEach((pitch, index) => tone.frequency.setValueAtTime(pitch, context.currentTime + index * 0.4));
    tone.connect(out);
    tone.start();
    return { stream: out.stream, seconds: 1.2 };
  }
}

async function record(button) {
  if (voice.recorder) return voice.recorder.stop();
  const { stream, seconds } = await sound();
  const mimeType = VOICES.find((one) => MediaRecorder.isTypeSupported(one));
  const recorder = (voice.recorder = new MediaRecorder(stream, { mimeType }));
  recorder.ondataavailable = ({ data }) => send("audio", new Blob([data], { type: mimeType.replace(";", "; ") }), { voice: true });
  recorder.onstop = () => {
    voice.recorder = null;
    stream.getTracks().forEach((track) => track.stop());
    button.textContent = "Voice note";
    button.classList.remove("recording");
  };
  recorder.start();
  button.textContent = "Stop and send";
  button.classList.add("recording");
  if (seconds) setTimeout(() => recorder.state === "recording" && recorder.stop(), seconds * 1000);
}

const DOES = {
  sample: picture,
  image: () => pick("image/jpeg,image/png", (file) => send("image", file)),
  document: () => pick("", (file) => send("document", file, { filename: file.name })),
  voice: record,
  location: () => says({ type: "location", latitude: 47.0707, longitude: 15.4395, name: "Schlossberg", address: "8010 Graz" }),
  contacts: () => says({ type: "contacts", contacts: [{ name: { formatted_name: "Marko Horvat", first_name: "Marko" }, phones: [{ phone: "+385 91 765 4321", wa_id: "385917654321", type: "CELL" }] }] }),
  unsupported: () => says({ type: "unsupported" }),
};

export function attachments() {
  const open = (is) => { $("attachments").hidden = !is; $("attach").setAttribute("aria-expanded", String(is)); };
  $("attach").addEventListener("click", () => open($("attachments").hidden));
  for (const button of $("attachments").querySelectorAll("button")) {
    button.addEventListener("click", () => {
      DOES[button.dataset.attach](button);
      if (button.dataset.attach !== "voice") open(false);
    });
  }
}
