/** The prices page: what people add there counts at once, says what it leaves as it is, and can be taken back. No browser. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ADMIN_TOKEN } from "../support/server.ts";
import { FakeClock } from "../support/clock.ts";
import { callFor, report } from "../support/usage.ts";
import { type Pages, pagesAs } from "./pages.ts";
import { startWorld, type World } from "./world.ts";

const NOON_MS = Date.parse("2026-11-20T12:00:00Z");
const PRICES = "/e/production/prices";
const RATES = {
  "usdPerMillion.input": "1",
  "usdPerMillion.output": "8",
  "usdPerMillion.cacheWrite5m": "1.25",
  "usdPerMillion.cacheWrite1h": "2",
  "usdPerMillion.cacheRead": "0.10",
};
/** As the form has it filled in. */
const FAST = {
  "fastUsdPerMillion.input": "8",
  "fastUsdPerMillion.output": "40",
  "fastUsdPerMillion.cacheWrite5m": "10",
  "fastUsdPerMillion.cacheWrite1h": "16",
  "fastUsdPerMillion.cacheRead": "0.4",
};
const clock = new FakeClock(NOON_MS);
let world: World;
let admin: Pages;
let viewer: Pages;

beforeAll(async () => {
  world = await startWorld({ instances: 0, clock });
  admin = await pagesAs(world, ADMIN_TOKEN);
  viewer = await pagesAs(world, world.viewer);
});
afterAll(async () => {
  await world.close();
});

const form = (fields: Record<string, string>) => ({ usPremium: "yes", reason: "published today", ...RATES, ...fields });
const call = (model: string) => {
  clock.advance(60_000);
  return report(world.server.deps, [callFor(1, { model, requestedModel: model, at: clock.nowMs() })]);
};

describe("the page of prices", () => {
  it("shows every class of tokens of every model, and what is not certain", async () => {
    const text = await viewer.text(PRICES);
    expect(text).toContain("claude-opus-5-5 4 20 5 8 0.20 fast mode 8 40 10 16 0.40");
    expect(text).toContain("claude-sonnet-4-5 3 15 3.75 6 0.30 above 200k 6 22.50 7.50 12 0.60");
    expect(text).toContain("claude-mythos-5-2 Assumed: no price is published.");
    expect(text).toContain(
      "claude-sonnet-5-5 in force 2 10 2.50 4 0.10 claude-sonnet-5-5 until 2026-10-07 2 10 2.50 4 0.20",
    );
    expect(text).toContain("An admin of all environments adds and corrects prices.");
    expect(text).not.toContain("Save the price");
  });

  it("adds a price for a model that had none, by which the next call counts", async () => {
    await call("gpt-9");
    expect(await admin.html(`${PRICES}?model=gpt-9`)).toContain('value="gpt-9"');
    const saved = await admin.post(PRICES, form({ model: "gpt-9" }));
    expect(saved).toContain("The price of gpt-9 counts from now on.");
    expect(saved).toContain("Added here: 1 price");
    expect(saved).toMatch(/gpt-9 from 2026-11-20 12:01 UTC: 1 in, 8 out By \S.* — published today/);
    expect(saved).toContain(
      "1 call today at a model without a price (gpt-9), counted at the dearest rate. A price has been added since.",
    );
  });

  it("says what a price that begins in the past leaves as it was counted", async () => {
    await call("claude-opus-5-5");
    const rates = { "usdPerMillion.input": "4", "usdPerMillion.output": "16", "usdPerMillion.cacheWrite5m": "5" };
    const more = { "usdPerMillion.cacheWrite1h": "8", "usdPerMillion.cacheRead": "0.2", validFrom: "2026-11-20" };
    const bare = await admin.post(PRICES, form({ model: "claude-opus-5-5", ...rates, ...more }));
    expect(bare).toContain("fastUsdPerMillion: is removed, and the price so far has it: calls in fast mode would");
    expect(bare).toContain("If that is right, tick &quot;The figures are right&quot;.");
    const saved = await admin.post(PRICES, form({ model: "claude-opus-5-5", ...rates, ...more, ...FAST }));
    expect(saved).toContain(
      "The price of claude-opus-5-5 counts from 2026-11-20 on. 1 attempt since then was already counted, at $1.00, and keeps that; by this price it would be about $0.80, $0.20 less.",
    );
  });

  it("marks each field that is wrong, keeps what was typed, and asks whether a slip is meant", async () => {
    const typed = form({ model: "claude-opus-5-6", "usdPerMillion.input": "a dollar", validFrom: "soon", reason: "" });
    const wrong = await admin.post(PRICES, typed);
    expect(wrong).toContain("must be an amount in USD per million tokens");
    expect(wrong).toContain("must be a date like 2026-01-31, or a time with its zone");
    expect(wrong).toContain("must say why, in 1 to 500 characters");
    const slip = await admin.post(PRICES, form({ model: "claude-opus-5-6" }));
    expect(slip).toMatch(
      /did you mean &quot;claude-opus-5-\d&quot;\? If it is new, tick &quot;The name is right: it is a new model&quot;/,
    );
    const odd = await admin.post(PRICES, form({ model: "gpt-9", "usdPerMillion.output": "0.8" }));
    expect(odd).toContain("If that is right, tick &quot;The figures are right&quot;.");
    const meant = form({ model: "gpt-9", "usdPerMillion.output": "0.8", unusual: "yes" });
    expect(await admin.post(PRICES, meant)).toContain("The price of gpt-9 counts from now on.");
  });

  it("takes an added price back, with a reason, and the built-in one counts again", async () => {
    const path = `${PRICES}/remove`;
    const named = { model: "claude-opus-5-5", validFrom: "2026-11-20" };
    const asked = await admin.text(`${path}?model=${named.model}&validFrom=${named.validFrom}`);
    expect(asked).toContain("Remove the price of claude-opus-5-5 from 2026-11-20 on?");
    expect(await admin.post(path, { ...named, reason: "" })).toContain("must say why");
    const gone = await admin.post(path, { ...named, reason: "it was wrong" });
    expect(gone).toContain("Removed the price of claude-opus-5-5 from 2026-11-20 on.");
    expect(gone).toContain("claude-opus-5-5 4 20 5 8 0.20");
    expect(await admin.text("/e/production/audit")).toContain(
      "deleted the added price of claude-opus-5-5: it was wrong",
    );
  });
});
