// One film: each decision is sent at once, under a name of its own, so that sending it again keeps it once.
"use strict";

const film = document.body.dataset.film;
const query = document.body.dataset.query;
const tags = document.getElementById("tags");
const said = document.getElementById("said");
const text = document.getElementById("text");
const plain = text?.textContent;
const TRIES = 3;

function say(message, wrong = false) {
  said.textContent = message;
  said.classList.toggle("wrong", wrong);
}

function newAct() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function answer(address, options) {
  const got = await fetch(address, options);
  const body = await got.json().catch((error) => { if (got.ok) throw error; return {}; }); // cut short: ask again
  if (!got.ok) throw Object.assign(new Error(body.error ?? `the server said ${got.status}`), { final: got.status < 500 });
  return body;
}

async function send(address, body) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  for (let tries = 1; ; tries++) {
    try {
      return await answer(address, options);
    } catch (error) {
      if (error.final || tries === TRIES) throw error;
      await new Promise((go) => setTimeout(go, 300 * tries));
    }
  }
}

let last = Promise.resolve(); // one after the other, in the order of the keys; each sees the page as the one before left it
let asked; // where the focus was when what is done now was asked for

function inTurn(work) {
  const at = document.activeElement;
  last = last.then(() => { asked = at; return work(); });
  last = last.catch((error) => say(`Not kept: ${error.message}. Please try again.`, true));
  return last;
}

function rows() {
  return [...tags.querySelectorAll(".row")];
}

function rowOf(tag) {
  return rows().find((row) => row.dataset.tag === tag);
}

function nextLeft(among) {
  return among.find((row) => "left" in row.dataset);
}

function currentRow() {
  return document.activeElement.closest(".row") ?? nextLeft(rows());
}

function focusRow(row, kind = "accept", preventScroll = false) {
  row?.querySelector(`[data-kind=${kind}]`)?.focus({ preventScroll });
}

async function decide(decisions, focus) {
  const kept = await send("/decide", { act: newAct(), film, decisions });
  tags.innerHTML = kept.html;
  say(kept.said);
  unlit();
  if ([asked, document.body].includes(document.activeElement)) focus(); // else the reviewer has gone elsewhere by now
}

function pressByKey(kind) {
  const row = currentRow();
  if (!row) return say("Nothing is left to decide here.");
  if (isPressed(row, kind)) return say(`${row.dataset.tag} is ${kind}ed already.`);
  return press(row.dataset.tag, kind, true);
}

function isPressed(row, kind) {
  return row.querySelector(`[data-kind=${kind}]`).getAttribute("aria-pressed") === "true";
}

function press(tag, kind, onward, button = kind) {
  const row = rowOf(tag);
  if (!row) return undefined; // it was taken back meanwhile
  const after = nextLeft(rows().slice(rows().indexOf(row) + 1))?.dataset.tag;
  return decide([{ kind, tag }], () => {
    focusRow(onward && rowOf(after) || rowOf(tag) || rows()[0], onward ? "accept" : button);
  });
}

function acceptRest() {
  const open = rows().filter((row) => "left" in row.dataset);
  if (!open.length) return undefined;
  return decide(open.map((row) => ({ kind: "accept", tag: row.dataset.tag })), () => document.getElementById("done").focus());
}

// why

function unlit() {
  if (text) text.textContent = plain;
}

async function why(row) {
  const button = row.querySelector("[data-kind=why]");
  const panel = row.querySelector(".why");
  if (!button) return;
  const close = button.getAttribute("aria-expanded") === "true";
  for (const other of rows()) {
    other.querySelector("[data-kind=why]")?.setAttribute("aria-expanded", "false");
    other.querySelector(".why").hidden = true;
    other.querySelector(".why").replaceChildren(); // its ids are those of the next
  }
  unlit();
  if (close) return;
  button.setAttribute("aria-expanded", "true");
  panel.hidden = false;
  panel.textContent = "The model reads the film again …";
  try {
    const reason = await answer(`/why?${new URLSearchParams({ id: film, tag: row.dataset.tag })}`);
    if (panel.hidden || !panel.isConnected) return;
    panel.innerHTML = reason.html;
    if (text) text.innerHTML = reason.text;
  } catch (error) {
    panel.textContent = `No answer: ${error.message}.`;
  }
}

tags.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return undefined;
  const row = button.closest(".row");
  const kind = button.dataset.kind;
  if (button.id === "rest") return inTurn(acceptRest);
  if (kind === "why") return why(row);
  const meant = isPressed(row, kind) ? "clear" : kind; // by what was seen when it was clicked
  return inTurn(() => press(row.dataset.tag, meant, false, kind));
});

// to another film

function go(address, body) {
  return inTurn(async () => {
    const { next, said: told } = await send(`${address}?${query}`, { act: newAct(), ...body });
    if (!next) return say(told);
    sessionStorage.setItem("said", told);
    location.assign(next);
    return new Promise(() => {}); // what is pressed until the next film is there is not for it
  });
}

document.getElementById("done").addEventListener("click", () => go("/leave", { film, kind: "done" }));
document.getElementById("skip").addEventListener("click", () => go("/leave", { film, kind: "skip" }));
document.getElementById("undo").addEventListener("click", () => go("/undo", {}));

// what is known of it

const poster = document.getElementById("poster");
if (poster?.complete && !poster.naturalWidth) poster.remove(); // it failed before this was read
poster?.addEventListener("error", () => poster.remove());

for (const name of document.querySelectorAll("[data-code]")) {
  try {
    name.textContent = new Intl.DisplayNames("en", { type: name.dataset.code }).of(name.textContent);
  } catch { /* it is no code, but a name */ }
}

// add a tag

const add = document.getElementById("add");
const options = document.getElementById("options");
const MOST = 12;
let known; // a promise of all tags
let active = -1;
let offers = 0; // an answer that comes after a later letter, or after the choice, is not shown
let offered; // a promise that the options are those of what is typed

function allTags() {
  known ??= answer("/tags").then((tags) => tags.map((tag) => ({ ...tag, folded: tag.name.toLocaleLowerCase() })));
  known.catch(() => { known = undefined; });
  return known;
}

function matching(tags, typed) {
  const folded = typed.toLocaleLowerCase();
  const ranks = [
    (tag) => tag.name === typed, (tag) => tag.folded === folded, (tag) => tag.folded.startsWith(folded),
    (tag) => tag.folded.includes(` ${folded}`), () => true,
  ];
  const rank = (tag) => ranks.findIndex((fits) => fits(tag));
  const found = tags.filter((tag) => tag.folded.includes(folded)).sort((one, other) => rank(one) - rank(other)).slice(0, MOST);
  const isNew = typed && !tags.some((tag) => tag.folded === folded);
  return isNew ? [...found, { name: typed, kind: "new tag" }] : found;
}

function option({ name, kind }, index) {
  const item = document.createElement("li");
  item.id = `option-${index}`;
  item.role = "option";
  item.dataset.tag = name;
  item.append(name, Object.assign(document.createElement("span"), { textContent: kind ? ` ${kind}` : "", className: "muted" }));
  return item;
}

function mark(index) {
  active = index;
  [...options.children].forEach((item, at) => item.setAttribute("aria-selected", String(at === index)));
  if (index < 0) return add.removeAttribute("aria-activedescendant");
  add.setAttribute("aria-activedescendant", `option-${index}`);
  options.children[index].scrollIntoView({ block: "nearest" });
}

function closeOptions() {
  offers++;
  options.hidden = true;
  add.setAttribute("aria-expanded", "false");
  mark(-1);
}

function offer() {
  offered = showOptions(++offers);
}

async function showOptions(own) {
  try {
    const tags = await allTags();
    if (own !== offers) return;
    const found = matching(tags, add.value.trim().replace(/\s+/g, " "));
    options.replaceChildren(...found.map(option));
    options.hidden = !found.length;
    add.setAttribute("aria-expanded", String(!options.hidden));
    mark(add.value.trim() && found.length ? 0 : -1);
  } catch (error) {
    say(`The tags can't be listed: ${error.message}.`, true);
  }
}

function choose(tag) {
  closeOptions();
  add.value = "";
  known = undefined;
  inTurn(() => decide([{ kind: rowOf(tag) ? "accept" : "add", tag }], () => add.focus()));
}

function leaveAdding() {
  add.blur();
  focusRow(nextLeft(rows()) ?? rows()[0]);
}

add.addEventListener("input", offer);
add.addEventListener("focus", () => add.value && offer());
add.addEventListener("blur", closeOptions);
add.addEventListener("keydown", (event) => {
  const count = options.children.length;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (options.hidden) offer();
    else mark((active + (event.key === "ArrowDown" ? 1 : count - (active < 0 ? 0 : 1))) % count);
  } else if (event.key === "Enter") {
    event.preventDefault();
    offered?.then(() => active >= 0 && choose(options.children[active].dataset.tag)); // fast typists are ahead of it
  } else if (event.key === "Escape") {
    if (options.hidden) leaveAdding();
    closeOptions();
  }
});
options.addEventListener("mousedown", (event) => {
  event.preventDefault();
  const item = event.target.closest("li");
  if (item) choose(item.dataset.tag);
});

function moveRow(step) {
  const focused = document.activeElement.closest(".row")?.querySelector("button");
  moved(step, rows().map((row) => row.querySelector("button")), focused);
}

Object.assign(actions, {
  j: () => inTurn(() => moveRow(1)),
  k: () => inTurn(() => moveRow(-1)),
  a: () => inTurn(() => pressByKey("accept")),
  r: () => inTurn(() => pressByKey("reject")),
  w: () => inTurn(() => { if (rows().length) why(currentRow() ?? rows()[0]); }), // nothing waits for the answer
  "+": () => add.focus(),
});

addEventListener("pageshow", (event) => event.persisted && location.reload()); // gone back to: it waits for the next film

say(sessionStorage.getItem("said") ?? "");
sessionStorage.removeItem("said");
focusRow(nextLeft(rows()), "accept", true); // the text is read first
