/**
 * `board.phone`: a phone on a slow line, in a real browser: until the board can be used, and from a press on Kill until the
 * page answers it, the row says "Off" and the proof is whole. The line is the browser's own emulation.
 */
import chromium from "@sparticuz/chromium";
import { type Browser, type BrowserContext, chromium as playwright, type Page } from "playwright-core";
import { Andon } from "../../sdk-client/src/index.ts";
import { callsOfAnHour } from "./bench.ts";
import { BOARD_FLAGS, BOARD_PATH, type BoardWorld, QUICK_FLAGS, startBoardWorld } from "./world.ts";
import { ENVIRONMENT_PATH, KILLED_FLAG } from "../support/andon-server.ts";
import { by, type Effort } from "../support/effort.ts";
import type { Figure } from "../support/figure.ts";
import { SILENT } from "../support/silent-logger.ts";
import { median } from "../support/statistics.ts";

const PHONE = { width: 360, height: 740 };
const BYTES_PER_SECOND = 50_000;
const LATENCY_MS = 400;
const INSTANCES = 20;
const TIMEOUT_MS = 60_000;

/** Script of the page: `answeredMs` from the press until "Sent…" is in it. */
const WATCH_PRESS = `
  globalThis.answeredMs = NaN;
  document.addEventListener("click", () => {
    const pressedAtMs = performance.now();
    new MutationObserver((_, observer) => {
      if (!document.body.textContent.includes("Sent…")) return;
      globalThis.answeredMs = performance.now() - pressedAtMs;
      observer.disconnect();
    }).observe(document.body, { childList: true, subtree: true, characterData: true });
  }, { capture: true, once: true });`;

/** One visit, in milliseconds: the first since the page was asked for, the others since the press. */
interface Visit {
  usableMs: number;
  answeredMs: number;
  offMs: number;
  proofMs: number;
}

export async function benchBoardPhone(effort: Effort): Promise<Figure> {
  const flags = by(effort, BOARD_FLAGS, QUICK_FLAGS);
  const world = await startBoardWorld(flags);
  const clients: Andon[] = [];
  const own = process.env["CHROME_PATH"] ?? "";
  const executablePath = own === "" ? await chromium.executablePath() : own;
  const browser = await playwright.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"], headless: true });
  try {
    await callsOfAnHour(world.andon, flags);
    const { url, sdkToken: token } = world.andon;
    for (let at = 0; at < INSTANCES; at += 1) {
      clients.push(new Andon({ url, token, instance: `instance-${at}`, app: "bench", logger: SILENT }));
    }
    await Promise.all(clients.map((client) => client.ready()));
    const visits: Visit[] = [];
    for (let at = 0; at < by(effort, 5, 1); at += 1) visits.push(await visit(browser, world));
    const of = (name: keyof Visit): number => median(visits.map((one) => one[name]));
    return {
      name: "board.phone",
      unit: "ms",
      ours: of("proofMs"),
      note:
        `press to proof of ${INSTANCES} instances; usable ${of("usableMs").toFixed(0)} ms after the visit began, a press answered after ` +
        `${of("answeredMs").toFixed(1)} ms, "Off" after ${of("offMs").toFixed(0)} ms; ${flags} flags, ${BYTES_PER_SECOND / 1_000} KB/s and ` +
        `${LATENCY_MS} ms on an open connection, nothing cached; medians of ${visits.length} visits`,
    };
  } finally {
    await Promise.all(clients.map((client) => client.close()));
    await browser.close();
    await world.close();
  }
}

async function visit(browser: Browser, world: BoardWorld): Promise<Visit> {
  const context = await browser.newContext({ viewport: PHONE, isMobile: true, hasTouch: true });
  try {
    context.setDefaultTimeout(TIMEOUT_MS);
    const page = await context.newPage();
    await slowLine(context, page, world);
    const visitedAtMs = performance.now();
    await page.goto(`${world.andon.url}${BOARD_PATH}`, { waitUntil: "commit" });
    const kill = page.locator(`#kill-${KILLED_FLAG}`);
    // Its script has run by then, without which a press loads a page.
    await page.waitForLoadState("domcontentloaded");
    await kill.waitFor({ state: "visible" });
    const usableMs = performance.now() - visitedAtMs;
    await page.waitForLoadState("load");
    await kill.scrollIntoViewIfNeeded();
    const row = page.locator(`#flag-${KILLED_FLAG}`);
    const pressedAtMs = performance.now();
    const since = async (shown: Promise<void>): Promise<number> => {
      await shown;
      return performance.now() - pressedAtMs;
    };
    // By the page's own clock: what drives the browser looks for a button to press longer than the page takes to answer.
    await page.evaluate(WATCH_PRESS);
    const off = row.getByText("Off", { exact: true }).waitFor();
    // After that: a proof that stands there before is of the restore before.
    const proven = off.then(() => row.getByText(`${INSTANCES} of ${INSTANCES} instances applied it`).first().waitFor());
    const [offMs, proofMs] = await Promise.all([since(off), since(proven), kill.tap()]);
    const answeredMs = Number(await page.evaluate("answeredMs"));
    if (!(answeredMs >= 0)) throw new Error("the page did not answer the press");
    return { usableMs, answeredMs, offMs, proofMs };
  } finally {
    await context.close();
    await world.andon.api.change("POST", `${ENVIRONMENT_PATH}/flags/${KILLED_FLAG}/restore`, { reason: "bench" });
  }
}

/** A session, a connection that is open, and then the line. */
async function slowLine(context: BrowserContext, page: Page, { andon, cookie }: BoardWorld): Promise<void> {
  const cookies = cookie.split("; ").map((pair) => {
    const [name = "", ...value] = pair.split("=");
    return { name, value: value.join("="), url: andon.url };
  });
  await context.addCookies(cookies);
  await page.goto(`${andon.url}/healthz`);
  const session = await context.newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.emulateNetworkConditions", {
    offline: false,
    latency: LATENCY_MS,
    downloadThroughput: BYTES_PER_SECOND,
    uploadThroughput: BYTES_PER_SECOND,
  });
}
