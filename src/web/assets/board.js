// What the board does beyond forms and links: it keeps itself up to date, presses without loading the page, finds flags,
// local times, the undo countdown, a warning when updates stop, keys; and it never takes away a click, a caret or text.
// Without this file the board works the same, by hand.
"use strict";

const LOST_AFTER_MS = 10_000;
/** From the press of a finger until so long after it the page moves nothing. */
const STILL_MS = 500;
/** Undo stands where Kill was: the second click of a nervous double click is not meant for it. */
const DOUBLE_CLICK_MS = 800;
const ANSWER_TIMEOUT_MS = 15_000;
/** After an answer that came at once without news, and after a failure. */
const PAUSE_MS = 1_000;
/** Pages that are looked at, not acted on. */
const SECTIONS_EVERY_MS = 5_000;

const byId = (id) => document.getElementById(id);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let lastAnswerMs = performance.now();
let lastAnnounced = "";

// Times, countdowns, announcements

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

function localTimes(root) {
  for (const time of root.querySelectorAll("time[data-local]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const seconds = time.dataset.local === "exact" ? { second: "2-digit" } : {};
    const day = at.toDateString() === new Date().toDateString() ? {} : { day: "numeric", month: "short" };
    time.textContent = at.toLocaleString("en-GB", { ...day, ...clock, ...seconds });
    time.title = at.toLocaleString("en-GB", { dateStyle: "full", timeStyle: "long" });
  }
  for (const line of root.querySelectorAll("[data-zone]")) line.textContent = `Times are in ${zone}.`;
}

function countdowns(root) {
  for (const left of root.querySelectorAll("[data-countdown]")) {
    left.dataset.endsMs = String(performance.now() + Number(left.dataset.countdown));
    left.removeAttribute("data-countdown");
  }
}

function announce() {
  const text = [...document.querySelectorAll("[data-announce]")].map((one) => one.dataset.announce).join(". ");
  const place = byId("announce");
  if (place !== null && text !== lastAnnounced) place.textContent = text;
  lastAnnounced = text;
}

function enliven(root) {
  localTimes(root);
  countdowns(root);
  for (const button of root.querySelectorAll("[data-copy]")) button.hidden = navigator.clipboard === undefined;
}

function tick() {
  // What counts down or is lost can wait: nothing is moved under a thumb.
  if (isPressed) return;
  for (const left of document.querySelectorAll("[data-ends-ms]")) {
    const seconds = Math.ceil((Number(left.dataset.endsMs) - performance.now()) / 1000);
    left.textContent = `${Math.max(0, seconds)} s`;
    if (seconds <= 0) left.closest("form")?.remove();
  }
  const region = document.querySelector("[data-live]");
  if (region === null || document.hidden) return;
  const silentMs = performance.now() - lastAnswerMs;
  const lost = silentMs > LOST_AFTER_MS;
  region.classList.toggle("stale", lost);
  let banner = byId("lost");
  if (!lost) {
    banner?.remove();
    return;
  }
  if (banner === null) {
    banner = document.createElement("p");
    banner.id = "lost";
    banner.className = "banner";
    banner.setAttribute("role", "alert");
    region.before(banner);
  }
  banner.textContent = `Connection lost: last updated ${Math.round(silentMs / 10_000) * 10} s ago. Trying again…`;
}

function say(text) {
  const place = byId("flash");
  if (place === null) return;
  const line = document.createElement("p");
  line.className = "flash problem";
  line.textContent = text;
  place.replaceChildren(line);
  place.scrollIntoView({ block: "nearest" });
}

// Stillness: a replacement between press and release would swallow the click, or give it to another button

let isPressed = false;
let release;
const waitingForRelease = [];
document.addEventListener(
  "pointerdown",
  (event) => {
    isPressed = true;
    clearTimeout(release);
    const button = event.target instanceof Element ? event.target.closest(PRESSED) : null;
    pressed = button === null ? null : { button, at: placeOf(button), isRefused: button.id in heldStill };
  },
  { capture: true },
);
for (const name of ["pointerup", "pointercancel"]) {
  document.addEventListener(
    name,
    () => {
      clearTimeout(release);
      release = setTimeout(() => {
        isPressed = false;
        for (const go of waitingForRelease.splice(0)) go();
      }, STILL_MS);
      if (pressed === null || name === "pointercancel") return;
      const { button, at } = pressed;
      if (button.isConnected && hasMoved(at, placeOf(button))) pressed.isRefused = true;
      if (pressed.isRefused) sayInPlace(button, "The list moved. Press again");
    },
    { capture: true },
  );
}
const stillness = () => (isPressed ? new Promise((resolve) => waitingForRelease.push(resolve)) : Promise.resolve());

// What the page has moved is not what was aimed at. Keys always act, and so does the master switch, which never moves.

const PRESSED = "#live button:not(#kill-all), #live a.button:not(#fresh), #live summary";
/** A press so soon after the page has moved the button was meant for what was there before. */
const AIMED_MS = 500;
const MOVED_PX = 8;
const SAID_MS = 3_000;
let pressed = null;
/** Ids of buttons that the page has just moved. */
const heldStill = {};

/** In the page, so that a scroll by hand is no move. */
function placeOf(element) {
  const { x, y } = onScreen(element);
  return { x: x + scrollX, y: y + scrollY };
}

function onScreen(element) {
  const { left: x, top: y } = element.getBoundingClientRect();
  return { x, y };
}

const hasMoved = (before, after) => Math.hypot(before.x - after.x, before.y - after.y) > MOVED_PX;

/** Changes the page, and holds the buttons that it moves on the screen. */
function moving(change) {
  const before = [...document.querySelectorAll(PRESSED)]
    .filter(({ id }) => id !== "")
    .map((one) => [one.id, onScreen(one)]);
  change();
  const moved = before.filter(([id, at]) => {
    const button = byId(id);
    return button !== null && button.checkVisibility() && hasMoved(at, onScreen(button));
  });
  for (const [id] of moved) hold(id, AIMED_MS);
}

function hold(id, forMs) {
  // Held for longer already.
  if (heldUntilMs.has(id)) return;
  clearTimeout(heldStill[id]);
  byId(id)?.setAttribute("aria-disabled", "true");
  heldStill[id] = setTimeout(() => {
    delete heldStill[id];
    byId(id)?.removeAttribute("aria-disabled");
  }, forMs);
}

/** The button says it, for a while. */
function sayInPlace(button, text) {
  if (button.dataset.said !== undefined) return;
  const label = button.innerHTML;
  button.dataset.said = "";
  const words = document.createElement("span");
  words.setAttribute("role", "alert");
  words.textContent = text;
  button.replaceChildren(words);
  setTimeout(() => {
    delete button.dataset.said;
    button.innerHTML = label;
  }, SAID_MS);
}

document.addEventListener(
  "click",
  (event) => {
    const isByHand = event.detail > 0;
    if (!isByHand || !pressed?.isRefused) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  },
  { capture: true },
);

// Parts

const versionOf = (cursor) => cursor?.getAttribute("hx-get")?.replace(/^.*after=/, "") ?? "";
const parse = (html) => {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
};

/** True when `next` says something older than what is shown. */
function isOlder(next) {
  const [shownName, shown] = versionOf(byId("live-at")).split(".");
  const [name, number] = versionOf(next).split(".");
  return name === shownName && Number(number) < Number(shown);
}

/** Puts the parts of an answer in place of what is shown; what only the visitor sees is put in last. */
function show(html) {
  const kept = memory();
  const parts = [...parse(html).children];
  const old = isOlder(parts.find(({ id }) => id === "live-at"));
  moving(() => {
    for (const part of parts) {
      if (part.hasAttribute("data-own")) putOwn(part);
      else if (!old || part.id === "flash") put(part);
    }
    remember(kept);
  });
  holdNewUndo(kept.undos);
  announce();
  tellNew();
}

function put(part) {
  const shown = byId(part.id);
  if (shown === null) return;
  if (part.id === "live" || part.id === "flags") keepOrder(part, shown);
  if (part.id === "live" || part.id === "news") keepNews(part, shown);
  for (const row of part.matches("[data-flag]") ? [part] : part.querySelectorAll("[data-flag]"))
    row.hidden = byId(row.id)?.hidden ?? !isLookedFor(row);
  // What only the visitor sees stays while it belongs to the change that is shown.
  for (const place of part.querySelectorAll("[data-own]")) {
    const own = byId(place.id);
    const change = place.closest("[data-change]")?.dataset.change;
    if (own !== null && own.dataset.own === change) place.replaceWith(own);
  }
  enliven(part);
  shown.replaceWith(part);
}

function putOwn(part) {
  const shown = byId(part.id);
  if (shown === null || shown.dataset.own === part.dataset.own) return;
  enliven(part);
  shown.replaceWith(part);
}

/** On an open page no row changes its place: those that are new come after the one that they stand behind. */
function keepOrder(part, shown) {
  const rows = [...part.querySelectorAll("[data-flag]")];
  const order = [...shown.querySelectorAll("[data-flag]")].map(({ id }) => id);
  rows.forEach(({ id }, at) => {
    if (order.includes(id)) return;
    const before = at === 0 ? -1 : order.indexOf(rows[at - 1].id);
    order.splice(before + 1, 0, id);
  });
  const list = rows[0]?.parentElement;
  for (const id of order) {
    const row = rows.find((one) => one.id === id);
    if (row !== undefined) list.append(row);
  }
}

/** Incidents that were new when the bar was pressed: they are shown, however many there are. */
const revealed = new Set();

/** Incidents that are new wait for the bar to be pressed; those that are shown keep their order. */
function keepNews(part, shown) {
  const known = [...shown.querySelectorAll(".incident:not([hidden])")].map(({ id }) => id);
  const all = [...part.querySelectorAll(".incident")];
  all.forEach((one, place) => {
    one.dataset.place = String(place);
    one.hidden = !known.includes(one.id);
    one.classList.toggle("revealed", revealed.has(one.id));
  });
  for (const id of known) {
    const one = all.find((incident) => incident.id === id);
    if (one !== undefined) one.parentElement.append(one);
  }
}

// What is new: told in the bar, and put in its place when that is pressed

/** How urgent each row was when the order was made, by its id. */
const orderedBy = new Map();
const rows = () => [...document.querySelectorAll("[data-flag]")];
const rankOf = (row) => Number(row.dataset.rank);
/** Ranks above it, and this one, are worth a word: over the limit, off, refused, limit within the hour, far above usual. */
const URGENT_RANK = 4;

function rememberOrder() {
  orderedBy.clear();
  for (const row of rows()) orderedBy.set(row.id, rankOf(row));
}

const counted = (n, noun) => (n === 0 ? "" : `${n} ${noun}${n === 1 ? "" : "s"}`);

function tellNew() {
  const bar = byId("fresh");
  if (bar === null) return;
  const incidents = document.querySelectorAll(".incident[hidden]").length;
  // What the visitor has done here is no news.
  const urgent = rows().filter((row) => {
    const before = orderedBy.get(row.id) ?? Infinity;
    return rankOf(row) <= URGENT_RANK && rankOf(row) < before && row.querySelector("[data-own]:not(:empty)") === null;
  });
  const said = counted(incidents, "new incident") || counted(urgent.length, "new alarm");
  bar.hidden = said === "";
  if (said !== "" && bar.textContent !== said) byId("announce").textContent = said;
  bar.textContent = said;
}

function putInOrder() {
  const incidents = [...document.querySelectorAll(".incident")];
  for (const one of incidents.toSorted((a, b) => Number(a.dataset.place) - Number(b.dataset.place))) {
    if (one.hidden) revealed.add(one.id);
    one.classList.toggle("revealed", revealed.has(one.id));
    one.hidden = false;
    one.parentElement.append(one);
  }
  const inOrder = rows().toSorted((a, b) => rankOf(a) - rankOf(b));
  for (const row of inOrder) row.parentElement.append(row);
  rememberOrder();
  tellNew();
  scrollTo({ top: 0 });
}

document.addEventListener("click", (event) => {
  if (!(event.target instanceof Element) || event.target.closest("#fresh") === null) return;
  event.preventDefault();
  putInOrder();
});

// Search and filter: at once, and kept in the address

function lookedFor() {
  return { text: byId("find")?.value.trim().toLowerCase() ?? "", state: byId("find-state")?.value ?? "" };
}

function isLookedFor(row, { text, state } = lookedFor()) {
  const words = [
    row.dataset.flag,
    row.querySelector("h3")?.textContent,
    row.querySelector("[data-owner]")?.textContent,
  ];
  return (state === "" || row.dataset.state === state) && words.some((one) => one?.toLowerCase().includes(text));
}

function look() {
  const wanted = lookedFor();
  let shown = 0;
  for (const row of rows()) {
    row.hidden = !isLookedFor(row, wanted);
    if (!row.hidden) shown += 1;
  }
  byId("find-none").hidden = shown > 0;
  const address = new URL(location.href);
  for (const [name, value] of [
    ["q", byId("find").value.trim()],
    ["state", wanted.state],
  ]) {
    if (value === "") address.searchParams.delete(name);
    else address.searchParams.set(name, value);
  }
  history.replaceState(null, "", address);
}

document.addEventListener("input", (event) => {
  if (event.target.closest("#find-form") !== null) look();
});
document.addEventListener("submit", (event) => {
  if (event.target.id !== "find-form") return;
  event.preventDefault();
  look();
});
// A page that the board leads to leads back to what was looked for.
document.addEventListener("click", ({ target }) => {
  const link = target instanceof Element ? target.closest("#live a[href]") : null;
  if (link !== null && /\/(restore|downgrade|raise)$/.test(link.pathname)) link.search = location.search;
});

/** What a person is in the middle of: open details, typed text, the focus. */
function memory() {
  const fields = [...document.querySelectorAll("input[id]:not([type=hidden]), select[id]")].filter(
    (one) => one.value !== "",
  );
  return {
    open: [...document.querySelectorAll("details[open][id]")].map((one) => one.id),
    undos: [...document.querySelectorAll("[data-undo]")].map((one) => one.id),
    typed: fields.map((one) => [one.id, one.value]),
    focus: document.activeElement?.id ?? "",
  };
}

function remember({ open, typed, focus }) {
  for (const id of open) byId(id)?.setAttribute("open", "");
  for (const [id, value] of typed) {
    const field = byId(id);
    if (field !== null && field.value !== value) field.value = value;
  }
  if (focus === "" || document.activeElement?.id === focus) return;
  // The button that was pressed may be gone: stay at its flag instead of falling to the top of the page.
  (byId(focus) ?? byId(focus.replace(/^[a-z]+-/, "flag-")))?.focus({ preventScroll: true });
}

const heldUntilMs = new Map();

/** An undo that was not there before takes no click for a moment. */
function holdNewUndo(known) {
  for (const undo of document.querySelectorAll("[data-undo]")) {
    if (!known.includes(undo.id)) heldUntilMs.set(undo.id, performance.now() + DOUBLE_CLICK_MS);
  }
  for (const [id, untilMs] of heldUntilMs) {
    const leftMs = untilMs - performance.now();
    const undo = byId(id);
    if (leftMs <= 0 || undo === null) {
      heldUntilMs.delete(id);
      continue;
    }
    undo.setAttribute("aria-disabled", "true");
    setTimeout(() => byId(id)?.removeAttribute("aria-disabled"), leftMs);
  }
}

document.addEventListener(
  "click",
  (event) => {
    const undo = event.target instanceof Element ? event.target.closest("[data-undo][aria-disabled]") : null;
    if (undo === null) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  },
  { capture: true },
);

// The line to the server

/** Null when the session is over: the page is left. */
async function ask(path, init = {}) {
  const signals = [AbortSignal.timeout(ANSWER_TIMEOUT_MS), ...(init.signal ? [init.signal] : [])];
  const headers = { "HX-Request": "true", ...init.headers };
  const response = await fetch(path, { ...init, headers, signal: AbortSignal.any(signals) });
  const elsewhere = response.headers.get("HX-Redirect");
  if (elsewhere !== null) {
    location.assign(`${elsewhere}?next=${encodeURIComponent(location.pathname + location.search)}`);
    return null;
  }
  return response;
}

let following = new AbortController();

/** Asks for what changed, as long as somebody looks. */
async function follow() {
  for (;;) {
    if (document.hidden)
      await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
    const startedMs = performance.now();
    try {
      const response = await ask(byId("live-at").getAttribute("hx-get"), { signal: following.signal });
      if (response === null) return;
      if (response.ok) lastAnswerMs = performance.now();
      if (response.status === 200) {
        const html = await response.text();
        await stillness();
        show(html);
        continue;
      }
    } catch {
      // No answer: told by the banner when it lasts.
    }
    if (performance.now() - startedMs < PAUSE_MS) await pause(PAUSE_MS);
  }
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    following.abort();
    following = new AbortController();
  } else lastAnswerMs = Math.max(lastAnswerMs, performance.now() - LOST_AFTER_MS + 3_000);
});

/** A press is answered by the page at once: "Sent", then what the server says. */
async function press(form, button) {
  const label = button?.innerHTML;
  button?.setAttribute("aria-busy", "true");
  if (button?.hasAttribute("data-sent")) {
    button.textContent = button.dataset.sent;
    byId("announce").textContent = button.dataset.sent;
  }
  const body = new URLSearchParams(new FormData(form, button));
  const headers = { "Board-After": versionOf(byId("live-at")) };
  try {
    const response = await ask(form.getAttribute("hx-post"), { method: "POST", body, headers });
    if (response === null) return;
    if (response.ok) {
      lastAnswerMs = performance.now();
      const html = await response.text();
      // The row may grow: not under the thumb that has just pressed.
      await stillness();
      show(html);
    } else say(`The server refused this (${response.status}). Reload the page and try again.`);
  } catch {
    say("No answer from the server: this may or may not have been done. A kill can be pressed again safely.");
  }
  if (button !== null && button.isConnected) {
    button.removeAttribute("aria-busy");
    button.innerHTML = label;
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[hx-post]");
  if (form === null) return;
  event.preventDefault();
  if (event.submitter?.getAttribute("aria-busy") !== "true") void press(form, event.submitter);
});

/** The sections of a page that is looked at, all with one request. */
async function refreshSections() {
  const sections = [...document.querySelectorAll("[data-live][hx-get]")];
  if (sections.length === 0 || document.hidden) return;
  try {
    const response = await ask(sections[0].getAttribute("hx-get"));
    if (response === null || !response.ok) return;
    lastAnswerMs = performance.now();
    const page = parse(await response.text());
    await stillness();
    const kept = memory();
    for (const { id } of sections) {
      const next = page.getElementById(id);
      if (next !== null) put(next);
    }
    remember(kept);
  } catch {
    // No answer: told by the banner when it lasts.
  }
}

// Hands

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  const copy = target?.closest("[data-copy]");
  if (copy) {
    const text = byId(copy.dataset.copy)?.textContent ?? "";
    navigator.clipboard.writeText(text).then(
      () => (copy.textContent = "Copied"),
      () => (copy.textContent = "Copying was refused: select the text instead"),
    );
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (target !== null && !menu.contains(target)) menu.removeAttribute("open");
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target instanceof Element && event.target.id === "find") event.target.blur();
  if (event.key === "Escape")
    for (const menu of document.querySelectorAll("details.menu[open]")) menu.removeAttribute("open");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target instanceof Element && event.target.closest("input, textarea, select") !== null) return;
  if (event.key === "/" && byId("find") !== null) {
    event.preventDefault();
    byId("find").focus();
    byId("find").select();
  }
  const cards = rows().filter((row) => !row.hidden);
  const at = cards.findIndex((card) => card.contains(document.activeElement));
  if (event.key === "j") cards[Math.min(at + 1, cards.length - 1)]?.focus();
  if (event.key === "k") cards[Math.max(at - 1, 0)]?.focus();
  if (event.key === "K" && at >= 0) cards[at].querySelector("[data-kill]")?.click();
});

enliven(document);
announce();
for (const keys of document.querySelectorAll("[data-keys]"))
  keys.hidden = document.querySelector("[data-flag]") === null;
rememberOrder();
setInterval(tick, 1000);
if (byId("live-at") !== null) void follow();
setInterval(() => void refreshSections(), SECTIONS_EVERY_MS);
