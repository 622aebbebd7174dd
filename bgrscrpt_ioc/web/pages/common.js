// What both pages share. Everything from outside is shown as text, never as HTML.

export const byId = (id) => document.getElementById(id);

export function make(tag, text = "", kind = "") {
  const made = document.createElement(tag);
  if (text !== "") made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const KINDS = {
  Running: "good", Finished: "still", Stopped: "still", Starting: "still", Stopping: "still",
  Backoff: "warn", Alarm: "warn", Failed: "bad", Hung: "bad", "No answer": "away", Connecting: "still",
};
export const kindOf = (state) => KINDS[state] || "still";

export function duration(seconds) {
  const whole = Math.floor(seconds);
  const parts = [[Math.floor(whole / 86400), "d"], [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"], [whole % 60, "s"]];
  let first = parts.findIndex(([count]) => count);
  if (first < 0) first = 3;
  return parts.slice(first, first + 2).filter(([count], at) => count || !at)
    .map(([count, unit]) => `${count} ${unit}`).join(" ");
}

// Links to the web pages of a script. The server has checked the addresses.
export function showLinks(element, links) {
  if (element.dataset.links === JSON.stringify(links)) return;
  element.dataset.links = JSON.stringify(links);
  element.replaceChildren(...links.map(({ name, url }) => {
    const link = make("a", name);
    link.href = url;
    link.rel = "noopener noreferrer";
    link.target = "_blank";
    return link;
  }));
}

export const clock = (seconds) => new Date(seconds * 1000).toLocaleString();

// Calls `heard(kind, data)` for each event. If nothing comes for a while, not even a ping, or the
// page has slept, the connection is made anew, and `lost(true)` has told the reader meanwhile.
export function listen(url, kinds, heard, lost) {
  let source, last = 0, isLost = false;
  const alive = () => {
    last = Date.now();
    if (isLost) { isLost = false; lost(false); }
  };
  const open = () => {
    if (source) source.close();
    source = new EventSource(url);
    last = Date.now();
    for (const kind of kinds) {
      source.addEventListener(kind, (event) => { alive(); heard(kind, JSON.parse(event.data)); });
    }
    source.addEventListener("ping", alive);
    source.onerror = () => {
      if (!isLost) { isLost = true; lost(true); }
      if (source.readyState === EventSource.CLOSED) last = Math.min(last, Date.now() - 12000);
    };
  };
  open();
  setInterval(() => {
    if (Date.now() - last > 15000) {
      if (!isLost) { isLost = true; lost(true); }
      open();
    }
  }, 1000);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && Date.now() - last > 8000) open();
  });
}

export function tellLost(isLost) {
  const banner = byId("banner");
  banner.hidden = !isLost;
  if (isLost) put(banner, `No connection to the web server since ${new Date().toLocaleTimeString()}. The values on this page may be old.`);
  document.querySelector("main").classList.toggle("stale", isLost);
}
