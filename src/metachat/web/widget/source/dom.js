// Builds nodes. Text always goes in as text: nothing here or elsewhere parses markup.
function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

function icon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(svg.namespaceURI, "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

const ICONS = {
  chat: "M21 11.5a8.4 8.4 0 0 1-8.5 8.3 8.7 8.7 0 0 1-3.8-.9L3 20.5l1.7-5.3a8.1 8.1 0 0 1-.7-3.7 8.4 8.4 0 0 1 8.5-8.3 8.4 8.4 0 0 1 8.5 8.3z",
  close: "M6 6l12 12M18 6L6 18",
  send: "M5 12h13M12 5l7 7-7 7",
  back: "M15 5l-7 7 7 7",
};

// The little formatting that answers have: paragraphs, lists, bold, links, and numbers of sources.
function formatted(text, cite) {
  const blocks = [];
  let list = null;
  for (const line of text.split("\n")) {
    const item = /^\s*[-*•]\s+(.*)$/.exec(line);
    if (item) {
      if (!list) blocks.push((list = make("ul")));
      list.append(make("li", {}, ...inline(item[1], cite)));
    } else {
      list = null;
      if (line.trim()) blocks.push(make("p", {}, ...inline(line, cite)));
    }
  }
  return blocks;
}

function inline(text, cite) {
  const parts = [];
  const special = /\[(\d{1,2})\]|\*\*([^*\n]+)\*\*|(https?:\/\/[^\s<>"')\]]+[^\s<>"')\].,;:!?])/g;
  let read = 0;
  for (const found of text.matchAll(special)) {
    parts.push(text.slice(read, found.index));
    if (found[1]) parts.push(cite(Number(found[1])));
    else if (found[2]) parts.push(make("strong", {}, found[2]));
    else parts.push(make("a", { href: found[3], target: "_blank", rel: "noopener noreferrer nofollow" }, found[3]));
    read = found.index + found[0].length;
  }
  parts.push(text.slice(read));
  return parts.filter((part) => part !== "");
}

// Marks where a quote stands in a text, whatever its line breaks are.
function highlighted(text, quote) {
  const words = quote.trim().split(/\s+/).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const found = words[0] ? new RegExp(words.join("\\s+")).exec(text) : null;
  if (!found) return [text];
  return [text.slice(0, found.index), make("mark", {}, found[0]), text.slice(found.index + found[0].length)];
}
