import { byId, clock, duration, kindOf, listen, make, put, showLinks, tellLost } from "./common.js";

const ORDER = ["Failed", "Hung", "No answer", "Backoff", "Alarm", "Connecting", "Starting", "Stopping", "Running", "Finished", "Stopped"];
const instances = new Map(); // full name -> what the server says of the instance
const rows = new Map(); // full name -> the element

function numbers(one) {
  if (!one.connected) return one.last_seen ? [`last answer ${clock(one.last_seen)}`] : [];
  const found = [];
  if (one.pid) {
    if (one.uptime !== null) found.push(`up ${duration(one.uptime)}`);
    if (one.cpu !== null) found.push(`CPU ${one.cpu.toFixed(1)} %`);
    if (one.memory !== null) found.push(`${one.memory.toFixed(1)} MB`);
    if (one.progress) found.push(`${one.progress.toFixed(1)} % done`);
    if (one.heartbeat_age !== null) found.push(`heartbeat ${duration(one.heartbeat_age)} ago`);
  }
  if (one.restarts) found.push(one.restarts === 1 ? "1 restart" : `${one.restarts} restarts`);
  if (one.script_changed === "Yes") found.push("file has changed");
  if (one.ioc_version) found.push(`IOC ${one.ioc_version}`);
  return found;
}

function row(name) {
  const item = make("li", "", "row");
  const link = make("a", "", "name");
  // A long name breaks behind a colon, where it has room for the rest.
  for (const part of name.split(/(?<=:)/)) link.append(part, make("wbr"));
  link.href = `instances/${encodeURIComponent(name)}`;
  item.append(link, make("span", "", "state"), make("span", "", "why"), make("span", "", "numbers"), make("span", "", "links"));
  return item;
}

function show(name) {
  const one = instances.get(name);
  if (!rows.has(name)) rows.set(name, row(name));
  const item = rows.get(name);
  const [, state, why, facts, links] = item.children;
  const kind = `row ${kindOf(one.state)}`;
  if (item.className !== kind) item.className = kind;
  put(state, one.state);
  const reason = one.connected ? [one.message, one.state === "Running" ? "" : one.status_msg].filter(Boolean).join(" - ") : one.state === "Connecting" ? "looking for the IOC" : "the IOC does not answer";
  put(why, one.state === "Alarm" || one.state === "Hung" ? one.status_msg || one.words : reason);
  showLinks(links, one.links);
  const texts = numbers(one);
  if (facts.textContent !== texts.join("")) facts.replaceChildren(...texts.map((each) => make("span", each)));
}

function arrange() {
  const asked = byId("find").value.trim().toLowerCase();
  const order = (one) => { const at = ORDER.indexOf(one.state); return at < 0 ? ORDER.length : at; };
  const all = [...instances.values()].sort((a, b) => order(a) - order(b) || a.name.localeCompare(b.name));
  const seen = all.filter((one) => !asked || `${one.name} ${one.state} ${one.status_msg} ${one.message} ${one.script}`.toLowerCase().includes(asked));
  const wanted = seen.map((one) => rows.get(one.name));
  const list = byId("list");
  if (wanted.length !== list.children.length || wanted.some((each, at) => list.children[at] !== each)) {
    const focused = document.activeElement;
    list.replaceChildren(...wanted);
    if (focused && focused.isConnected && focused !== document.body) focused.focus();
  }
  const counts = ORDER.map((state) => [state, all.filter((one) => one.state === state).length]).filter(([, count]) => count);
  put(byId("counts"), counts.map(([state, count]) => `${count} ${state}`).join(", "));
  byId("none").hidden = all.length > 0;
  const trouble = all.filter((one) => kindOf(one.state) === "bad").length;
  document.title = trouble ? `(${trouble}) Background scripts` : "Background scripts";
}

listen("events", ["all", "some"], (kind, list) => {
  if (kind === "all") {
    const names = new Set(list.map((one) => one.name));
    for (const name of [...instances.keys()]) if (!names.has(name)) { instances.delete(name); rows.delete(name); }
  }
  for (const one of list) { instances.set(one.name, one); show(one.name); }
  arrange();
}, tellLost);

byId("find").addEventListener("input", arrange);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== byId("find")) { event.preventDefault(); byId("find").focus(); }
});
// Ages grow without an event.
setInterval(() => {
  for (const [name, one] of instances) {
    if (one.heartbeat_age !== null) { one.heartbeat_age += 1; show(name); }
  }
}, 1000);
