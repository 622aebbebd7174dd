import { byId, clock, duration, kindOf, listen, make, put, showLinks, tellLost } from "./common.js";

const name = decodeURIComponent(location.pathname.split("/").pop());
const api = (part) => `../api/instances/${encodeURIComponent(name)}${part}`;
const MOST = 20000; // lines that the page keeps
const pvs = new Map();
let session = { control: false, csrf: null };

document.title = name;
put(byId("name"), name);

// --- state ---------------------------------------------------------------------------------------

// PV, what people call it, how it is shown; those of a run are shown while there is one.
const RUN = [
  ["UPTIME", "Uptime", duration], ["STARTTIME", "Started", (text) => new Date(text).toLocaleString()], ["PID", "Process"],
  ["CPU", "CPU", (n) => `${n.toFixed(1)} %`], ["MEMORY", "Memory", (n) => `${n.toFixed(1)} MB`], ["PROCS", "Processes"], ["THREADS", "Threads"],
];
const ALWAYS = [
  ["RETRYIN", "Next start in", (s) => (s ? duration(s) : "")], ["STARTS", "Starts"], ["RESTARTS", "Restarts"], ["EXITREASON", "Last end"],
  ["REGISTERED", "Registered"], ["SCRIPT:CHANGED", "File changed"], ["IOC:VERSION", "IOC version"], ["IOC:HOST", "Host"],
  ["SCRIPT", "Script"], ["SCRIPT:GIT", "Revision"], ["PYTHON", "Python"],
];
const WIDE = ["Script", "Python"];

function value(pv) { const found = pvs.get(pv); return found ? found.value : null; }

function showState(one) {
  const state = byId("state");
  put(state, one.state);
  state.className = `state big ${kindOf(one.state)}`;
  showLinks(byId("links"), one.links);
  put(byId("why"), one.connected ? value("STATUS:MSG") || "" : one.state === "Connecting" ? "Looking for the IOC." : `The IOC does not answer${one.last_seen ? ` since ${clock(one.last_seen)}` : ""}. This page shows no old values.`);
  put(byId("message"), value("MESSAGE") || "");
  const percent = value("PROGRESS");
  byId("progress").hidden = !percent;
  byId("progress").value = percent || 0;
  const facts = byId("facts");
  const shown = [...(value("PID") ? RUN : []), ...ALWAYS].flatMap(([pv, label, form]) => {
    const found = value(pv);
    const text = found === null ? "" : form ? form(found) : String(found);
    return text ? [[label, text]] : [];
  });
  if (one.heartbeat_age !== null) shown.push(["Heartbeat", `${duration(one.heartbeat_age)} ago`]);
  if (facts.children.length !== shown.length) facts.replaceChildren(...shown.map(() => { const row = make("div"); row.append(make("dt"), make("dd")); return row; }));
  shown.forEach(([label, text], at) => { put(facts.children[at].children[0], label); put(facts.children[at].children[1], text); facts.children[at].className = WIDE.includes(label) ? "wide" : ""; });
  showText("error", value("TRACEBACK") || value("ERROR"));
  showText("stack", value("STACK:TEXT"));
  put(byId("file"), value("LOG:FILE") || "");
  byId("autorestart").checked = value("AUTORESTART") === "On";
  document.querySelector("[data-command=stack]").hidden = !pvs.has("STACK:TEXT");
  showAll();
  showHistory();
}

function showText(id, text) {
  byId(`${id}-part`).hidden = !text;
  put(byId(id), text || "");
}

function showAll() {
  const table = byId("pvs");
  if (!table.closest("details").open) return;
  table.replaceChildren(...[...pvs].sort().map(([pv, one]) => {
    const row = make("tr");
    row.append(make("td", pv), make("td", String(one.value)), make("td", one.severity === "NO_ALARM" ? "" : one.severity));
    return row;
  }));
}
document.querySelector("details").addEventListener("toggle", showAll);

// --- PVs of the script ---------------------------------------------------------------------------

const own = new Map(); // name -> what the server says of it
const rows = new Map(); // name -> its row, and the cells that change

function ownText(one) {
  if (one.value === null) return one.severity ? "" : `not shown: the PV has room for ${one.size} numbers`;
  if (Array.isArray(one.value)) return one.value.join(", ") + (one.value.length === 100 ? ", ..." : "");
  return typeof one.value === "number" && !Number.isInteger(one.value) ? String(Number(one.value.toPrecision(7))) : String(one.value);
}

function ownRow(pv, one) {
  const row = make("tr"), shown = make("td", "", "value"), alarm = make("td"), set = make("td");
  row.append(make("td", pv), shown, alarm, make("td", one.description || ""), set);
  const choices = one.choices || [];
  if (one.writable && session.control) {
    const form = make("form"), field = make(choices.length ? "select" : "input");
    for (const each of choices) field.append(make("option", each));
    if (choices.includes(one.value)) field.value = one.value;
    field.setAttribute("aria-label", `new value of ${pv}`);
    field.autocomplete = "off";
    form.append(field, make("button", "Set"));
    form.addEventListener("submit", (event) => { event.preventDefault(); setOwn(pv, field.value); });
    set.append(form);
  }
  return { row, shown, alarm, choices: choices.join() };
}

function setOwn(pv, text) {
  const { kind } = own.get(pv) || {};
  const numbers = () => text.split(/[\s,]+/).filter(Boolean).map(Number);
  const value = kind === "DOUBLE" || kind === "LONG" ? numbers() : text;
  command(`pvs/${pv}`, { value });
}

function showOwn() {
  byId("own-part").hidden = !own.size;
  const names = [...own.keys()].sort();
  let isNew = rows.size !== names.length;
  for (const pv of names) {
    const one = own.get(pv), known = rows.get(pv);
    if (!known || known.choices !== (one.choices || []).join()) { rows.set(pv, ownRow(pv, one)); isNew = true; }
    const { shown, alarm } = rows.get(pv);
    put(shown, [ownText(one), one.unit].filter(Boolean).join(" "));
    put(alarm, one.severity === "NO_ALARM" ? "" : one.severity || "");
  }
  for (const pv of [...rows.keys()]) if (!own.has(pv)) rows.delete(pv);
  if (isNew) byId("own").replaceChildren(...names.map((pv) => rows.get(pv).row));
}

let shownHistory = null;
function showHistory() {
  const text = value("HISTORY") || "";
  if (text === shownHistory) return;
  shownHistory = text;
  const runs = text.split("\n").flatMap((line) => { try { return [JSON.parse(line)]; } catch { return []; } });
  byId("history-part").hidden = !runs.length;
  byId("history").replaceChildren(...runs.map((run) => {
    const row = make("tr");
    const lasted = Number.isFinite(run.seconds) ? duration(run.seconds) : "";
    for (const text of [run.run ?? run.number, run.start, lasted, run.end ?? "", [run.reason, run.error].filter(Boolean).join(": ")]) row.append(make("td", String(text ?? "")));
    return row;
  }));
}

// --- log -----------------------------------------------------------------------------------------

const log = byId("log");
const open = make("div");
log.append(open);
let follows = true, lastLine = 0;

function line(text) {
  const made = make("div", text, text.startsWith("--- ") ? "remark" : "");
  mark(made);
  return made;
}

function mark(element) {
  const asked = byId("find").value.toLowerCase();
  element.classList.toggle("mark", Boolean(asked) && element.textContent.toLowerCase().includes(asked));
}

function addLines({ first, lines, open: begun }) {
  if (first <= lastLine) { while (log.children.length > 1) log.firstChild.remove(); } // the server began anew
  lastLine = first + lines.length - 1;
  const added = document.createDocumentFragment();
  for (const text of lines) added.append(line(text));
  log.insertBefore(added, open);
  put(open, begun);
  while (log.children.length > MOST) log.firstChild.remove();
  if (follows) log.scrollTop = log.scrollHeight;
  if (byId("find").value) search();
}

function search() {
  for (const each of log.children) mark(each);
  const hits = log.querySelectorAll(".mark");
  put(byId("hits"), byId("find").value ? `${hits.length} lines` : "");
  return hits;
}
byId("find").addEventListener("input", () => {
  const hits = search();
  if (hits.length) { setFollow(false); hits[hits.length - 1].scrollIntoView({ block: "center" }); }
});

function setFollow(on) {
  follows = on;
  byId("follow").checked = on;
  if (on) log.scrollTop = log.scrollHeight;
}
byId("follow").addEventListener("change", (event) => setFollow(event.target.checked));
log.addEventListener("scroll", () => {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 30;
  if (atEnd !== follows) { follows = atEnd; byId("follow").checked = atEnd; }
});

// --- plots ---------------------------------------------------------------------------------------

function plot(label, points) {
  const known = points.filter(([, y]) => y !== null);
  const box = make("div", "", "plot");
  box.append(make("strong", label));
  const now = Date.now() / 1000;
  const ys = known.map(([, y]) => y);
  const low = Math.min(0, ...ys), high = Math.max(...ys, low + 1e-9);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 360 60");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${label}, last hour`);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  let pen = "M", d = "";
  for (const [t, y] of points) {
    if (y === null) { pen = "M"; continue; }
    d += `${pen}${(360 - (now - t) / 10).toFixed(1)} ${(58 - 56 * (y - low) / (high - low)).toFixed(1)}`;
    pen = "L";
  }
  path.setAttribute("d", d);
  svg.append(path);
  const range = make("div", "", "range");
  range.append(make("span", `${low.toPrecision(3)} to ${high.toPrecision(4)}`), make("span", known.length ? `now ${known[known.length - 1][1].toPrecision(4)}` : ""));
  box.append(svg, range);
  return box;
}

async function showPlots() {
  try {
    const answer = await fetch(api("/trend"));
    if (!answer.ok) return;
    const found = Object.entries(await answer.json()).filter(([, points]) => points.some(([, y]) => y));
    byId("plots").replaceChildren(...(found.length ? found.map(([label, points]) => plot(label, points)) : [make("span", "No numbers yet.", "counts")]));
  } catch { /* the banner tells that the server is away */ }
}
showPlots();
setInterval(showPlots, 10000);

// --- commands ------------------------------------------------------------------------------------

function ask(question, wantsToken) {
  const dialog = byId("ask"), token = byId("token");
  put(byId("question"), question);
  token.hidden = !wantsToken;
  token.value = "";
  put(byId("yes"), wantsToken ? "Log in" : "Yes");
  dialog.returnValue = "";
  dialog.showModal();
  if (wantsToken) token.focus();
  return new Promise((answer) => dialog.addEventListener("close", () => answer(dialog.returnValue === "yes" ? token.value || true : null), { once: true }));
}
byId("token").addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); byId("ask").close("yes"); } });

function tell(text, isBad = false) {
  const answer = byId("answer");
  put(answer, text);
  answer.className = isBad ? "answer bad" : "answer";
}

async function post(url, body) {
  const answer = await fetch(url, { method: "POST", headers: { "X-CSRF-Token": session.csrf || "", "Content-Type": "application/json" }, body: JSON.stringify(body || {}) });
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(found.error || `the server answered ${answer.status}`);
  return found;
}

async function logIn() {
  const token = await ask("The token that allows commands:", true);
  if (typeof token !== "string") return false;
  session.csrf = (await post("../api/login", { token })).csrf;
  return true;
}

async function command(what, body) {
  try {
    if (!session.csrf && !(await logIn())) return;
    if (what === "stop" && !(await ask(`Stop ${name}? It stays stopped until somebody starts it.`, false))) return;
    tell(`${what} ...`);
    await post(api(`/${what}`), body);
    tell(`${what}: done`);
  } catch (error) {
    if (error.message === "log in first") session.csrf = null;
    tell(`${what}: ${error.message}`, true);
    byId("autorestart").checked = value("AUTORESTART") === "On";
  }
}
for (const button of document.querySelectorAll("[data-command]")) button.addEventListener("click", () => command(button.dataset.command));
byId("autorestart").addEventListener("change", (event) => command("autorestart", { on: event.target.checked }));

fetch("../api/session").then((answer) => answer.json()).then((found) => {
  session = found;
  byId("commands").hidden = !found.control;
  rows.clear(); // now with what sets them
  showOwn();
});

// --- what the server tells -----------------------------------------------------------------------

listen(`${encodeURIComponent(name)}/events`, ["state", "log"], (kind, data) => {
  if (kind === "log") { addLines(data); return; }
  for (const [pv, one] of Object.entries(data.pvs)) pvs.set(pv, one);
  for (const pv of data.gone) pvs.delete(pv);
  for (const [pv, one] of Object.entries(data.own)) own.set(pv, one);
  for (const pv of data.own_gone) own.delete(pv);
  showOwn();
  showState(data);
}, (isLost) => {
  if (isLost) { lastLine = Infinity; pvs.clear(); own.clear(); }
  tellLost(isLost);
});
