/**
 * A real browser for the board's tests: CHROME_PATH, or the Chromium that npm brings. One for all files of a worker, and
 * it ends with that; each test gets a context of its own and fails on what the browser complains about.
 */
import chromium from "@sparticuz/chromium";
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium as playwright,
  type Page,
} from "playwright-core";
import type { Clock } from "../../src/clock.ts";
import { DatabaseClock } from "../../src/clock.ts";
import { WallClock } from "../support/clock.ts";
import type { TestServer } from "../support/server.ts";
import { shiftDate, shiftMs } from "../support/shift-date.mjs";

/** A busy machine takes its time; nothing takes so long by itself. */
const TIMEOUT_MS = 45_000;

/** Not the list that comes with that Chromium: it is one process, which dies with a page, and without web security. */
const ARGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--font-render-hinting=none"];

let launched: Promise<Browser> | null = null;

/** Starts it for the first who asks, and again when it has died since. */
async function sharedBrowser(): Promise<Browser> {
  if (launched === null || !(await launched).isConnected()) launched = launch();
  return launched;
}

async function launch(): Promise<Browser> {
  const own = process.env["CHROME_PATH"];
  const executablePath = own === undefined || own === "" ? await chromium.executablePath() : own;
  return playwright.launch({ executablePath, args: ARGS, headless: true });
}

export interface OpenPage {
  context: BrowserContext;
  page: Page;
  /** What the browser complained about: errors, refused scripts and styles. */
  complaints: string[];
}

/** A page in a context of its own, to be closed, with bounded waits, at the time of the server that it visits. */
export async function openPage(
  server: Pick<TestServer, "deps">,
  options: BrowserContextOptions = {},
): Promise<OpenPage> {
  const browser = await sharedBrowser();
  const context = await browser.newContext({ locale: "en-GB", timezoneId: "Europe/Berlin", ...options });
  context.setDefaultTimeout(TIMEOUT_MS);
  await shareClock(context, server.deps.clock);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    // A refused answer is shown on the page; the browser logs it too.
    const expected = /the server responded with a status of/;
    if (message.type() === "error" && !expected.test(message.text())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  return { context, page, complaints };
}

/**
 * Gives pages the injected clock: what their script writes by the browser's own date is then the same on every day that
 * the tests run. Only the date is set: timers and the monotonic clock, so countdowns and updates, run on.
 */
async function shareClock(context: BrowserContext, clock: Clock): Promise<void> {
  // First: what sets the date below compares the day of this process with that of the browser.
  if (shiftMs !== 0) await context.addInitScript(shiftDate, shiftMs);
  if (clock instanceof DatabaseClock) return;
  await context.clock.setFixedTime(clock.nowMs());
  if (!(clock instanceof WallClock)) return;
  const forget = clock.onMove((nowMs) => void context.clock.setFixedTime(nowMs));
  context.once("close", forget);
}

/** Signs in by typing a token, as a person does. */
export async function signIn(page: Page, url: string, token: string): Promise<void> {
  await page.goto(`${url}/sign-in`);
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
}
