// What the widget says of its own, in every language it speaks.
const TEXTS = {
  en: {
    title: "Chat with us", open: "Open chat", close: "Close chat", log: "Conversation",
    greeting: "Hello! Ask me anything about our products, delivery or returns. I answer from our documents and show you the source.",
    placeholder: "Write a message…", message: "Your message", send: "Send", person: "Talk to a person",
    assistant: "Assistant", agent: "Team", you: "You", writing: "The assistant is writing…",
    ready: "Answers with sources", waiting: "A colleague will reply here", assigned: "You are talking to our team",
    closed: "Conversation closed", offline: "Offline – your messages are kept and sent later",
    reconnecting: "Connecting again…", sending: "Sending…", queued: "Will be sent when you are online",
    failed: "Not sent", again: "Try again", sources: "Sources", source: "Source", page: "page", back: "Back to the chat",
    loading: "Loading…", gone: "This passage is no longer available.", unread: "new",
    paused: "This chat is paused at the moment. Please come back later.",
    refused: "This chat is not available on this page.", long: "This message is too long.",
  },
  de: {
    title: "Chatten Sie mit uns", open: "Chat öffnen", close: "Chat schließen", log: "Gespräch",
    greeting: "Hallo! Fragen Sie mich zu unseren Produkten, zum Versand oder zur Rückgabe. Ich antworte aus unseren Unterlagen und zeige Ihnen die Quelle.",
    placeholder: "Nachricht schreiben…", message: "Ihre Nachricht", send: "Senden", person: "Mit einem Menschen sprechen",
    assistant: "Assistent", agent: "Team", you: "Sie", writing: "Der Assistent schreibt…",
    ready: "Antwortet mit Quellen", waiting: "Ein Mensch antwortet Ihnen hier", assigned: "Sie sprechen mit unserem Team",
    closed: "Gespräch geschlossen", offline: "Offline – Ihre Nachrichten werden später gesendet",
    reconnecting: "Verbinde neu…", sending: "Wird gesendet…", queued: "Wird gesendet, sobald Sie online sind",
    failed: "Nicht gesendet", again: "Noch einmal", sources: "Quellen", source: "Quelle", page: "Seite", back: "Zurück zum Chat",
    loading: "Wird geladen…", gone: "Diese Stelle gibt es nicht mehr.", unread: "neu",
    paused: "Dieser Chat macht gerade Pause. Bitte kommen Sie später wieder.",
    refused: "Dieser Chat ist auf dieser Seite nicht verfügbar.", long: "Diese Nachricht ist zu lang.",
  },
  hr: {
    title: "Razgovarajte s nama", open: "Otvori razgovor", close: "Zatvori razgovor", log: "Razgovor",
    greeting: "Pozdrav! Pitajte me o našim proizvodima, dostavi ili povratu. Odgovaram iz naših dokumenata i pokazujem izvor.",
    placeholder: "Napišite poruku…", message: "Vaša poruka", send: "Pošalji", person: "Razgovor s osobom",
    assistant: "Asistent", agent: "Tim", you: "Vi", writing: "Asistent piše…",
    ready: "Odgovara uz izvore", waiting: "Netko od kolega javit će se ovdje", assigned: "Razgovarate s našim timom",
    closed: "Razgovor je zatvoren", offline: "Niste na mreži – poruke ćemo poslati kasnije",
    reconnecting: "Ponovno povezivanje…", sending: "Šalje se…", queued: "Poslat će se kad budete na mreži",
    failed: "Nije poslano", again: "Pokušaj ponovno", sources: "Izvori", source: "Izvor", page: "str.", back: "Natrag na razgovor",
    loading: "Učitavanje…", gone: "Ovaj odlomak više nije dostupan.", unread: "novo",
    paused: "Razgovor je trenutačno pauziran. Navratite poslije.",
    refused: "Ovaj razgovor nije dostupan na ovoj stranici.", long: "Poruka je preduga.",
  },
};

// The first language we speak among: the element's own, the page's, the browser's.
function chooseLanguage(...wanted) {
  for (const tag of wanted) {
    const base = (tag || "").toLowerCase().split("-")[0];
    if (TEXTS[base]) return base;
  }
  return "en";
}
