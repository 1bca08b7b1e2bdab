// What the board does beyond forms and links: local times, the undo countdown, a warning when updates stop, keys, and
// updates that never take away a click, a caret or typed text. Without this file the board works the same, by hand.
"use strict";

const LOST_AFTER_MS = 12_000;
const RELEASE_AFTER_MS = 400;
/** Undo stands where Kill was: the second click of a nervous double click is not meant for it. */
const DOUBLE_CLICK_MS = 800;

const live = () => document.querySelector("[data-live]");
let lastAnswerMs = performance.now();
const heldUntilMs = new Map();
let pointerDown = false;
let lastAnnounced = "";

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

function tick() {
  for (const left of document.querySelectorAll("[data-ends-ms]")) {
    const seconds = Math.ceil((Number(left.dataset.endsMs) - performance.now()) / 1000);
    left.textContent = `${Math.max(0, seconds)} s`;
    if (seconds <= 0) left.closest("form")?.remove();
  }
  const region = live();
  if (region === null || document.hidden) return;
  const silentMs = performance.now() - lastAnswerMs;
  const lost = silentMs > LOST_AFTER_MS;
  region.classList.toggle("stale", lost);
  let banner = document.getElementById("lost");
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

function announce(root) {
  const text = [...root.querySelectorAll("[data-announce]")].map((one) => one.dataset.announce).join(". ");
  const place = document.getElementById("announce");
  if (place !== null && text !== lastAnnounced) place.textContent = text;
  lastAnnounced = text;
}

function say(text) {
  const place = document.getElementById("flash");
  if (place === null) return;
  const line = document.createElement("p");
  line.className = "flash problem";
  line.textContent = text;
  place.replaceChildren(line);
  place.scrollIntoView({ block: "nearest" });
}

function enliven(root) {
  localTimes(root);
  countdowns(root);
  announce(root);
  for (const button of root.querySelectorAll("[data-copy]")) button.hidden = navigator.clipboard === undefined;
}

// What a person is in the middle of, kept over a replacement of the region: open details and typed text.
function memory(region) {
  const fields = [...region.querySelectorAll("input[id]:not([type=hidden])")].filter((one) => one.value !== "");
  return {
    open: [...region.querySelectorAll("details[open][id]")].map((one) => one.id),
    undos: [...region.querySelectorAll("[data-undo]")].map((one) => one.id),
    typed: fields.map((one) => [one.id, one.value]),
    focus: region.contains(document.activeElement) ? document.activeElement.id : "",
  };
}

/** An undo that was not there before takes no click for a moment. */
function holdNewUndo(region, known) {
  for (const undo of region.querySelectorAll("[data-undo]")) {
    if (known.includes(undo.id)) continue;
    heldUntilMs.set(undo.id, performance.now() + DOUBLE_CLICK_MS);
  }
  for (const [id, untilMs] of heldUntilMs) {
    const leftMs = untilMs - performance.now();
    const undo = document.getElementById(id);
    if (leftMs <= 0 || undo === null) {
      heldUntilMs.delete(id);
      continue;
    }
    undo.setAttribute("aria-disabled", "true");
    setTimeout(() => document.getElementById(id)?.removeAttribute("aria-disabled"), leftMs);
  }
}

function remember({ open, typed, focus }) {
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  for (const [id, value] of typed) {
    const field = document.getElementById(id);
    if (field !== null) field.value = value;
  }
  if (focus === "") return;
  const again = document.getElementById(focus);
  // The button that was pressed may be gone: stay at its flag instead of falling to the top of the page.
  (again ?? document.getElementById(focus.replace(/^[a-z]+-/, "flag-")))?.focus({ preventScroll: true });
}

let kept = null;
const isLiveRequest = (event) =>
  event.detail.requestConfig?.verb === "get" && event.detail.elt?.hasAttribute("data-live");

document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt?.hasAttribute("data-live") && (document.hidden || pointerDown)) event.preventDefault();
  const button = event.detail.requestConfig?.triggeringEvent?.submitter;
  if (event.detail.elt?.tagName === "FORM") {
    button?.setAttribute("aria-busy", "true");
    // A parked answer from before the change must not overwrite the one that shows it.
    if (live() !== null) htmx.trigger(live(), "htmx:abort");
  }
});
document.addEventListener("htmx:afterRequest", (event) => {
  const status = event.detail.xhr?.status ?? 0;
  if (status >= 200 && status < 400) lastAnswerMs = performance.now();
  for (const busy of document.querySelectorAll("[aria-busy]")) busy.removeAttribute("aria-busy");
});
document.addEventListener("htmx:beforeSwap", (event) => {
  if (isLiveRequest(event) && pointerDown) event.detail.shouldSwap = false;
  const region = event.detail.target?.closest("[data-live]") ?? live();
  if (region !== null) kept = memory(region);
});
document.addEventListener("htmx:afterSwap", () => {
  for (const region of document.querySelectorAll("[data-live]")) {
    localTimes(region);
    countdowns(region);
  }
  const region = live();
  if (region === null) return;
  enliven(region);
  if (kept !== null) {
    remember(kept);
    holdNewUndo(region, kept.undos);
  }
  kept = null;
});
for (const name of ["htmx:sendError", "htmx:timeout", "htmx:responseError"]) {
  document.addEventListener(name, (event) => {
    if (isLiveRequest(event)) return;
    const status = event.detail.xhr?.status ?? 0;
    say(
      status === 0
        ? "No answer from the server: this may or may not have been done. A kill can be pressed again safely."
        : `The server refused this (${status}). Reload the page and try again.`,
    );
  });
}

// A replacement between press and release would swallow the click.
let release;
document.addEventListener("pointerdown", () => {
  pointerDown = true;
  clearTimeout(release);
});
for (const name of ["pointerup", "pointercancel"]) {
  document.addEventListener(name, () => {
    clearTimeout(release);
    release = setTimeout(() => (pointerDown = false), RELEASE_AFTER_MS);
  });
}
document.addEventListener("visibilitychange", () => {
  const region = live();
  if (region === null) return;
  if (document.hidden) htmx.trigger(region, "htmx:abort");
  else lastAnswerMs = Math.max(lastAnswerMs, performance.now() - LOST_AFTER_MS + 3_000);
});

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

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  const copy = target?.closest("[data-copy]");
  if (copy) {
    const text = document.getElementById(copy.dataset.copy)?.textContent ?? "";
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
  if (event.key === "Escape")
    for (const menu of document.querySelectorAll("details.menu[open]")) menu.removeAttribute("open");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target instanceof Element && event.target.closest("input, textarea, select") !== null) return;
  const cards = [...document.querySelectorAll("[data-flag]")];
  const at = cards.findIndex((card) => card.contains(document.activeElement));
  if (event.key === "j") cards[Math.min(at + 1, cards.length - 1)]?.focus();
  if (event.key === "k") cards[Math.max(at - 1, 0)]?.focus();
  if (event.key === "K" && at >= 0) cards[at].querySelector("[data-kill]")?.click();
});

enliven(document);
for (const keys of document.querySelectorAll("[data-keys]"))
  keys.hidden = document.querySelector("[data-flag]") === null;
setInterval(tick, 1000);
