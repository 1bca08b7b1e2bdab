/** The page Usage: every way to divide what was spent adds up to the ledger, to the nano-USD. No browser. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { rollNext } from "../../src/services/usage/rollups.ts";
import { BYS } from "../../src/web/usage/query.ts";
import { type Explored, explore, type ExploreBy } from "../../src/services/usage/explore.ts";
import type { SavingsAnswer } from "../../src/api/savings.ts";
import { FakeClock } from "../support/clock.ts";
import { jsonOf } from "../support/json.ts";
import { adminCtx, makeToken } from "../support/server.ts";
import { callFor, report } from "../support/usage.ts";
import { type Pages, pagesAs } from "./pages.ts";
import { PRODUCTION, startWorld, type World } from "./world.ts";

const NOON_MS = Date.parse("2026-11-20T12:00:00Z");
const HOUR_MS = 3_600_000;
const clock = new FakeClock(NOON_MS - 30 * HOUR_MS);
const MODELS = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5"];
const FLAGS = ["support-chat", "draft-reply", "summarize-ticket"];
let world: World;
let pages: Pages;
/** What the ledger answered for each record, summed here. */
let calls = 0;

beforeAll(async () => {
  world = await startWorld({ instances: 0, clock });
  const token = await makeToken(world.server.deps, { kind: "sdk" });
  const headers = {
    authorization: `Bearer ${token}`,
    "andon-instance": "host-1",
    "andon-app": "shop",
    "andon-sdk": "0.1.0",
  };
  expect((await fetch(`${world.server.url}/sdk/v1/snapshot`, { headers })).status).toBe(200);
  await world.server.deps.instances.flush();
  for (let hour = 0; hour < 30; hour += 1) {
    // More of one flag at once than single calls are kept of.
    const records = Array.from({ length: 61 }, (_, n) =>
      callFor(0, {
        at: clock.nowMs(),
        flag: FLAGS[n < 55 ? 0 : n % 3] ?? "",
        model: MODELS[(n + hour) % 3] ?? "",
        requestedModel: MODELS[(n + hour) % 3] ?? "",
        user: `user-${n % 7}`,
        session: `session-${n % 11}`,
        outcome: n === 3 ? "error" : "ok",
        exact: n % 5 !== 0,
        usage: {
          input: 1_001 + n,
          output: 77 + hour,
          cacheWrite5m: n,
          cacheWrite1h: 3,
          cacheRead: 500,
          webSearches: n % 2,
        },
      }),
    );
    await report(world.server.deps, records);
    calls += records.length;
    clock.advance(HOUR_MS);
  }
  pages = await pagesAs(world, world.viewer);
});
afterAll(async () => {
  await world.close();
});

async function ledgerNanoUsd(query = ""): Promise<bigint> {
  const span = `from=2026-11-19T00:00:00Z&to=2026-11-21T00:00:00Z${query}`;
  const answer = await jsonOf<{ items: { costNanoUsd: number }[] }>(
    await world.server.api("GET", `${PRODUCTION}/usage?${span}`),
  );
  return answer.items.reduce((sum, { costNanoUsd }) => sum + BigInt(costNanoUsd), 0n);
}

const explored = (by: ExploreBy, more: object = {}): Promise<Explored> =>
  explore(adminCtx(world.server.deps), "production", {
    from: new Date("2026-11-19T00:00:00Z"),
    to: new Date("2026-11-21T00:00:00Z"),
    bucket: "hour",
    timezone: "UTC",
    by,
    ...more,
  });

const costs = (rows: readonly { costNanoUsd: bigint }[]) =>
  rows.reduce((sum, { costNanoUsd }) => sum + costNanoUsd, 0n);

describe("what was spent", () => {
  it.each(BYS)("by %s and over time adds up to the ledger, to the nano-USD, rolled up or not", async (by) => {
    const sum = await ledgerNanoUsd();
    const environment = world.server.deps.snapshots.environmentByKey("production")?.environmentId ?? "";
    for (const look of ["as it was counted", "rolled up"]) {
      const { buckets, parts, rest, total, leftOutNanoUsd } = await explored(by);
      expect(costs(buckets), look).toBe(sum);
      expect(total.costNanoUsd, look).toBe(sum);
      expect(costs([...parts, ...(rest === null ? [] : [rest])]), look).toBe(sum);
      expect(
        [...parts, ...(rest === null ? [] : [rest])].reduce((n, one) => n + one.calls, 0),
        look,
      ).toBe(total.calls);
      // Of one flag more came at once than single calls are kept of: names do not depend on those.
      expect([rest?.costNanoUsd ?? 0n, leftOutNanoUsd ?? 0n], look).toEqual([0n, 0n]);
      while (await rollNext(world.server.deps, environment));
    }
  });

  it("is that of one flag or one model when asked so", async () => {
    for (const [name, value] of [
      ["flag", "draft-reply"],
      ["model", "claude-haiku-4-5"],
    ] as const) {
      const found = await explored("user", { [name]: value });
      expect(found.total.costNanoUsd).toBe(await ledgerNanoUsd(`&${name}=${value}`));
      expect(costs(found.buckets)).toBe(found.total.costNanoUsd);
    }
  });

  it("over time as CSV is the ledger too, however many pieces it comes in, and no bucket is in two of them", async () => {
    const asked = [
      ["UTC", "minute"],
      ["Asia/Kathmandu", "hour"],
      ["America/New_York", "day"],
    ] as const;
    for (const [zone, bucket] of asked) {
      const path = `${PRODUCTION}/usage?from=2026-11-19T00:00:00Z&to=2026-11-21T00:00:00Z&bucket=${bucket}&groupBy=flag,model&timezone=${zone}`;
      const response = await fetch(`${world.server.url}${path}`, {
        headers: { authorization: `Bearer ${world.viewer}`, accept: "text/csv" },
      });
      const [head = "", ...lines] = (await response.text()).trimEnd().split("\r\n");
      const columns = head.split(",");
      const rows = lines.map((line) => line.split(","));
      const cost = columns.indexOf("costNanoUsd");
      expect(
        rows.reduce((sum, row) => sum + BigInt(row[cost] ?? 0), 0n),
        `${zone} ${bucket}`,
      ).toBe(await ledgerNanoUsd());
      const keys = rows.map((row) => row.slice(0, 3).join());
      expect(new Set(keys).size, `${zone} ${bucket}`).toBe(keys.length);
    }
  });

  it("over a year comes as CSV, where JSON says what is too much", async () => {
    const path = `${PRODUCTION}/usage?from=2026-01-01T00:00:00Z&to=2026-11-21T00:00:00Z&bucket=day`;
    expect((await world.server.api("GET", path)).status).toBe(422);
    const headers = { authorization: `Bearer ${world.viewer}`, accept: "text/csv" };
    const response = await fetch(`${world.server.url}${path}`, { headers });
    expect((await response.text()).trimEnd().split("\r\n")).toHaveLength(3);
    const tooLong = await fetch(`${world.server.url}${path.replace("2026-01", "2024-01")}`, { headers });
    expect([tooLong.status, tooLong.headers.get("content-type")]).toEqual([422, "application/problem+json"]);
  });
});

describe("the page", () => {
  it("leads to Claude's bill, which says how to have it compared while it is not", async () => {
    expect(await pages.html("/e/production/usage")).toContain('href="/e/production/reconciliation"');
    expect(await pages.text("/e/production/reconciliation")).toMatch(
      /Nothing is compared yet\..*ANDON_ANTHROPIC_ADMIN_KEY.*ANDON_ANTHROPIC_WORKSPACES/,
    );
  });

  it("shows plots first, then who it was, with the sum that the rows add up to, and what would have cost less", async () => {
    const text = await pages.text("/e/production/usage?span=yesterday&by=user");
    const words = ["Spent yesterday", "By user", "user-0", "All", "Nobody used more", "What would have cost less"];
    const at = words.map((word) => text.indexOf(word));
    expect(
      at.every((place, n) => place > (at[n - 1] ?? -1)),
      JSON.stringify(at),
    ).toBe(true);
    expect(text).toMatch(
      /\d+\.\d % of the prompt tokens came from a cache\. For each further tenth of the input that had, it would have cost about \$0\.\d\d less/,
    );
    expect(text).toMatch(/at most \$\d+\.\d\d less, had every call been in one/);
    expect(text).toMatch(/All \$\d+\.\d\d 100\.0 % 1,098 /);
    expect(await pages.html("/e/production/usage")).not.toMatch(/(?:src|href)="https?:/);
  });

  it("says by flag, model or both what caching and batches would save, with what that assumes, as JSON and CSV", async () => {
    expect(await pages.text("/e/production/usage?span=yesterday&by=model")).toMatch(
      /Model Cached In batches claude-\S+ −\$\d+\.\d\d −\$\d+\.\d\d .* written and nine read\. .* A bound, not a promise/,
    );
    const span = "from=2026-11-19T00:00:00Z&to=2026-11-21T00:00:00Z";
    const answer = await jsonOf<SavingsAnswer>(await world.server.api("GET", `${PRODUCTION}/usage/savings?${span}`));
    expect(answer.items).toHaveLength(9);
    expect(BigInt(answer.total.costNanoUsd)).toBe(await ledgerNanoUsd());
    for (const name of ["costNanoUsd", "promptTokens", "perTenthCachedNanoUsd", "batchesNanoUsd"] as const) {
      const sum = answer.items.reduce((total, item) => total + BigInt(item[name]), 0n);
      expect(sum).toBe(BigInt(answer.total[name]));
      expect(sum).toBeGreaterThan(0n);
    }
    const byFlag = await jsonOf<SavingsAnswer>(
      await world.server.api("GET", `${PRODUCTION}/usage/savings?${span}&groupBy=flag&model=claude-opus-5-5`),
    );
    expect(new Set(byFlag.items.map(({ flag }) => flag))).toEqual(new Set(FLAGS));
    expect(byFlag.items[0]).not.toHaveProperty("model");
    const csv = await pages.html("/e/production/usage.csv?span=yesterday&what=savings");
    expect(csv).toMatch(/^flag,model,costNanoUsd,promptTokens,cachedTokens,perTenthCachedNanoUsd,batchesNanoUsd\r\n/);
    expect(csv.trimEnd().split("\r\n")).toHaveLength(10);
  });

  it("says which name was meant where nothing knows the one that is asked for, and of a quiet flag that it was quiet", async () => {
    expect(await pages.text("/e/production/usage?flag=suport-chat&model=claude-opus-5-6")).toMatch(
      /No calls were counted in this time: no flag &quot;suport-chat&quot; has usage; did you mean &quot;support-chat&quot;\?; no price, chain or call knows/,
    );
    expect(await pages.text("/e/production/usage?flag=support-chat&span=last-month")).toContain(
      "No calls were counted in this time.",
    );
  });

  it("says which application the calls came from", async () => {
    expect(await pages.text("/e/production/usage?span=yesterday&by=app")).toMatch(/By app .* shop \$\d/);
  });

  it("has what it shows as CSV", async () => {
    const csv = await pages.html("/e/production/usage.csv?span=yesterday&by=flag");
    expect(csv).toMatch(/^flag,calls,/);
    expect(csv.trimEnd().split("\r\n")).toHaveLength(4);
    expect((await pages.html("/e/production/usage.csv?span=week&by=model&over=time")).split("\r\n")[0]).toMatch(
      /^at,model,calls,/,
    );
  });

  it("shows by default what its address does not say in words that it knows", async () => {
    expect(await pages.text("/e/production/usage?span=ever&by=colour&timezone=Mars")).toContain("Spent today");
    expect(calls).toBe(1_830);
  });
});
