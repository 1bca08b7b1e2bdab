/** The reporter: what was recorded arrives exactly once, whatever the server does meanwhile. */
import * as fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { Andon, type AndonOptions, type FetchLike } from "../../sdk-client/src/index.ts";
import { MAX_RECORDS_PER_BATCH } from "../../sdk-client/src/wire/usage-protocol.ts";
import { snapshotOf } from "../support/guard-snapshots.ts";
import { until } from "../support/until.ts";
import { type ReportFate, UsageServer } from "../support/usage-server.ts";
import { type LogLine, Follower } from "./support/harness.ts";
import { ManualRuntime } from "./support/manual-runtime.ts";

const FLAG = "support-chat";
const MODEL = "claude-opus-5-5";
const INTERVAL_MS = 1_000;

interface Reporting {
  andon: Andon;
  server: UsageServer;
  runtime: ManualRuntime;
  lines: LogLine[];
  net: { isDown: boolean; dropPolls: () => void };
  /** Lets intervals pass until the probe holds. */
  passUntil: (what: string, probe: () => boolean, stepMs?: number) => Promise<void>;
}

async function start(options: AndonOptions = {}): Promise<Reporting> {
  const server = new UsageServer(snapshotOf());
  const url = await server.listen();
  const runtime = new ManualRuntime();
  const follower = new Follower();
  let inFlight = 0;
  const net = { isDown: false, dropPolls: () => undefined as void };
  const counting: FetchLike = async (to, init) => {
    if (net.isDown) throw new TypeError("the network is down");
    const mayPark = init.headers["Prefer"] !== undefined;
    if (mayPark) {
      const dropped = new Promise<never>((_, reject) => {
        net.dropPolls = () => reject(new TypeError("the network is down"));
      });
      return Promise.race([fetch(to, init), dropped]);
    }
    inFlight += 1;
    return fetch(to, init).finally(() => {
      inFlight -= 1;
    });
  };
  const given = { url, token: "andon_sdk_test", logger: follower.logger, fetch: counting, ...options };
  const andon = new Andon(given, { runtime, env: {} });
  await until("the first state", () => andon.hasState);
  onTestFinished(async () => {
    server.fate = "count";
    await andon.close();
    await server.close();
  });
  const passUntil = async (what: string, probe: () => boolean, stepMs = INTERVAL_MS): Promise<void> => {
    await until(what, () => {
      if (probe()) return true;
      // Time stands still while a request is under way, or a busy machine would look like a slow server.
      if (inFlight === 0) runtime.advance(stepMs);
      return false;
    });
  };
  return { andon, server, runtime, lines: follower.lines, net, passUntil };
}

function report(andon: Andon, count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => {
    const id = `record-${from + index}`;
    andon.report({ id, flag: FLAG, model: MODEL, usage: { input: from + index, output: 1 } });
    return id;
  });
}

test("records go in one batch after the interval, in order, with the name of the instance", async () => {
  const { andon, server, runtime } = await start({ instance: "app-1" });
  const ids = report(andon, 3);
  expect(server.reports).toEqual([]);
  runtime.advance(INTERVAL_MS);
  await until("the report", () => server.counted.size === 1);
  expect(server.records.map(({ id }) => id)).toEqual(ids);
  expect(server.reports[0]?.instance).toBe("app-1");
  await until("the acknowledgement", () => andon.usageStats().acknowledgedRecords === 3);
  expect(andon.usageStats()).toMatchObject({ waiting: 0, droppedRecords: 0 });
});

test("a full batch does not wait for the interval", async () => {
  const { andon, server, runtime } = await start();
  report(andon, MAX_RECORDS_PER_BATCH + 1);
  runtime.advance(0);
  await until("the report", () => server.counted.size === 1);
  expect(server.records).toHaveLength(MAX_RECORDS_PER_BATCH);
});

test.each<ReportFate>(["reset", "countSilently", 401, 403, 404, 500, 503, 302, { text: "<html>" }])(
  "after %j the same bytes are sent again, and count once",
  async (fate) => {
    const { andon, server, passUntil } = await start();
    server.next.push(fate, fate);
    const ids = report(andon, 5);
    await passUntil("the acknowledgement", () => andon.usageStats().acknowledgedRecords === 5);
    expect(server.reports).toHaveLength(3);
    expect(new Set(server.reports.map(({ text }) => text)).size).toBe(1);
    // Each try tells the time at which it was made: by it the server sees how far off this clock is.
    const times = server.reports.map(({ sentAtMs }) => sentAtMs);
    expect(times).toEqual([...new Set(times)].toSorted((a, b) => a - b));
    expect(times[0]).toBeGreaterThanOrEqual(server.reports[0]?.records.at(-1)?.at ?? Infinity);
    expect(server.records.map(({ id }) => id)).toEqual(ids);
  },
);

test("what a server has no room for comes with what is reported later, in fewer batches, and counts once", async () => {
  const { andon, server, passUntil } = await start();
  server.next.push(429, 429);
  const ids = report(andon, 2);
  andon.evaluate(FLAG);
  await passUntil("the first refusal", () => server.reports.length === 1);
  ids.push(...report(andon, 3, 2));
  await passUntil("the second refusal", () => server.reports.length === 2);
  ids.push(...report(andon, MAX_RECORDS_PER_BATCH - 5, 5));
  await passUntil("the acknowledgement", () => andon.usageStats().acknowledgedRecords === ids.length);
  expect(server.counted.size).toBe(1);
  expect(server.records.map(({ id }) => id)).toEqual(ids);
  expect([...server.counted.values()][0]?.checks?.[FLAG]).toEqual({ on: 1, off: 0 });
  expect(andon.usageStats()).toMatchObject({ summedAttempts: 0, droppedRecords: 0 });
});

test("a batch that may have been counted is repeated as it is, also after the server had no room for it", async () => {
  const { andon, server, passUntil } = await start();
  server.next.push("countSilently", 429);
  const ids = report(andon, 2);
  await passUntil("the second try", () => server.reports.length === 2);
  report(andon, 1, 2);
  await passUntil("the acknowledgement", () => andon.usageStats().waiting === 0);
  expect(server.records.map(({ id }) => id).toSorted()).toEqual([...ids, "record-2"]);
});

test("the flush of close waits for room, and loses nothing", async () => {
  const { andon, server, passUntil } = await start();
  server.next.push({ status: 429, headers: { "retry-after": "1" } }, 429);
  const ids = report(andon, 2);
  const closed = andon.close();
  await passUntil("both refusals", () => server.reports.length === 2, 50);
  await passUntil("what is left", () => server.counted.size === 1, 50);
  await closed;
  expect(server.records.map(({ id }) => id)).toEqual(ids);
  expect(andon.usageStats().droppedRecords).toBe(0);
});

test("a server that never answers is given up after ten seconds, and asked again", async () => {
  const { andon, server, runtime, passUntil } = await start();
  server.next.push("hang");
  report(andon, 1);
  runtime.advance(INTERVAL_MS);
  await until("the report", () => server.reports.length === 1);
  runtime.advance(10_000);
  await passUntil("the acknowledgement", () => andon.usageStats().acknowledgedRecords === 1);
  expect(server.reports).toHaveLength(2);
});

test("Retry-After is kept to", async () => {
  const { andon, server, runtime, lines } = await start();
  server.next.push({ status: 503, headers: { "retry-after": "20" } });
  report(andon, 1);
  runtime.advance(INTERVAL_MS);
  await until("the failure", () => lines.some(({ message }) => message.includes("it is kept")));
  runtime.advance(19_900);
  expect(server.reports).toHaveLength(1);
  runtime.advance(200);
  await until("the acknowledgement", () => andon.usageStats().acknowledgedRecords === 1);
});

test("an outage is one line of the log, and while it lasts pauses grow to thirty seconds", async () => {
  const { andon, server, lines, passUntil } = await start();
  // Polls that hang fail in the end, and bring usage forward when they succeed again.
  server.parks = false;
  server.fate = 503;
  report(andon, 1);
  const kept = (): LogLine[] => lines.filter(({ message }) => message.includes("it is kept"));
  await passUntil("eight failures", () => pausesOf(lines).length >= 8);
  expect(
    pausesOf(lines)
      .slice(0, 8)
      .map((ms) => Math.round(ms / 500) * 500),
  ).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  expect(kept().filter(({ level }) => level !== "debug")).toHaveLength(1);
});

/** The pauses that the reporter said it makes, in milliseconds. */
function pausesOf(lines: readonly LogLine[]): number[] {
  const kept = lines.filter(({ message }) => message.includes("told of usage; it is kept"));
  return kept.map(({ fields }) => ("retryInMs" in fields ? Number(fields.retryInMs) : 0));
}

const isLive = (lines: readonly LogLine[]): boolean => lines.some(({ message }) => message === "Andon answers again");

test("after an outage usage goes within half a second of the first poll that succeeds", async () => {
  const { andon, server, runtime, net, lines, passUntil } = await start();
  report(andon, 3);
  net.isDown = true;
  net.dropPolls();
  await passUntil("a long pause of the reporter", () => (pausesOf(lines).at(-1) ?? 0) > 29_000);
  net.isDown = false;
  await passUntil("a poll", () => isLive(lines));
  expect(server.reports).toEqual([]);
  runtime.advance(500);
  await until("the acknowledgement", () => andon.usageStats().acknowledgedRecords === 3);
});

test("a report that was under way when polls succeed again is repeated within half a second of its end", async () => {
  const { andon, server, runtime, net, lines, passUntil } = await start();
  server.fate = 503;
  report(andon, 3);
  await passUntil("a long pause of the reporter", () => (pausesOf(lines).at(-1) ?? 0) > 15_000);
  server.fate = "count";
  const tries = server.reports.length;
  server.next.push("hang");
  await until("the report that hangs", () => {
    if (server.reports.length > tries) return true;
    runtime.advance(100);
    return false;
  });
  net.dropPolls();
  await until("a poll", () => {
    runtime.advance(100);
    return isLive(lines);
  });
  await until("the end of the report that hung", () => {
    if (pausesOf(lines).length > tries) return true;
    runtime.advance(100);
    return false;
  });
  expect(server.counted.size).toBe(0);
  runtime.advance(500);
  await until("the acknowledgement", () => andon.usageStats().acknowledgedRecords === 3);
});

test("a pause that the server asked for is kept, also when polls succeed again", async () => {
  const { andon, server, runtime, net, lines, passUntil } = await start();
  server.next.push({ status: 503, headers: { "retry-after": "20" } });
  report(andon, 1);
  runtime.advance(INTERVAL_MS);
  await until("the failure", () => pausesOf(lines).length === 1);
  const failedAtMs = runtime.monotonicMs();
  net.dropPolls();
  await passUntil("a poll", () => isLive(lines));
  runtime.advance(failedAtMs + 19_900 - runtime.monotonicMs());
  expect(server.reports).toHaveLength(1);
  runtime.advance(700);
  await until("the acknowledgement", () => andon.usageStats().acknowledgedRecords === 1);
});

test("a batch that may have been counted is not divided by one refusal", async () => {
  const { andon, server, passUntil } = await start();
  server.next.push("countSilently");
  const ids = report(andon, 4);
  await passUntil("the first try", () => server.reports.length === 1);
  server.next.push(422);
  await passUntil("the acknowledgement", () => andon.usageStats().acknowledgedRecords === 4);
  expect(server.records.map(({ id }) => id)).toEqual(ids);
  expect(server.counted.size).toBe(1);
});

test("a batch that the server refuses is divided until the one bad record is found, which is said", async () => {
  const { andon, server, passUntil, lines } = await start();
  const ids = report(andon, 8);
  // Refused as long as the sixth record is among them.
  const bad = ids[5];
  server.fate = ({ records }) => (records.some(({ id }) => id === bad) ? 422 : "count");
  await passUntil("the end of it", () => andon.usageStats().waiting === 0);
  expect(server.records.map(({ id }) => id).toSorted()).toEqual(ids.filter((id) => id !== bad));
  expect(andon.usageStats()).toMatchObject({ acknowledgedRecords: 7, droppedRecords: 1 });
  expect(lines.filter(({ level }) => level === "error")).toMatchObject([
    { message: expect.stringContaining("refused") },
  ]);
});

test("what the server rejects of a batch is counted, and logged once per kind", async () => {
  const { andon, server, passUntil, lines } = await start();
  const rejected = [0, 1].map((index) => ({ index, path: `records/${index}/flag`, message: "Unknown flag" }));
  server.next.push({ rejected });
  report(andon, 4);
  await passUntil("the acknowledgement", () => andon.usageStats().acknowledgedRecords === 2);
  expect(andon.usageStats().droppedRecords).toBe(2);
  expect(lines.filter(({ message }) => message.includes("rejected"))).toHaveLength(1);
});

test("an acknowledgement with a newer revision means a poll now, also when the parked one hangs", async () => {
  const { andon, server, passUntil } = await start();
  await until("the parked poll", () => server.polls === 2);
  server.snapshot = { ...server.snapshot, revision: "a.2" };
  report(andon, 1);
  await passUntil("the new state", () => andon.evaluate(FLAG).revision === "a.2");
  expect(server.polls).toBeGreaterThanOrEqual(3);
});

test("an acknowledgement with an older revision, or the same, changes nothing", async () => {
  const { andon, server, passUntil } = await start();
  await until("the parked poll", () => server.polls === 2);
  server.revision = "a.0";
  report(andon, 1);
  await passUntil("the acknowledgement", () => andon.usageStats().acknowledgedRecords === 1);
  expect(server.polls).toBe(2);
});

test("checks are summed per flag, and go with the usage, or alone every fifteen seconds", async () => {
  const { andon, server, runtime } = await start();
  for (let times = 0; times < 3; times += 1) andon.isEnabled(FLAG);
  andon.isEnabled("other", {}, { onUnknown: "off" });
  runtime.advance(10_000);
  expect(server.reports).toEqual([]);
  runtime.advance(6_000);
  await until("the report", () => server.counted.size === 1);
  expect(server.reports[0]).toMatchObject({
    records: [],
    checks: { [FLAG]: { on: 3, off: 0 }, other: { on: 0, off: 1 } },
  });
});

test("close sends what waits; what comes while it closes, and after, is sent when it has", async () => {
  const { andon, server, lines, passUntil } = await start();
  server.next.push("reset");
  report(andon, 2);
  const closed = andon.close();
  report(andon, 3);
  await closed;
  await passUntil("what came meanwhile", () => server.records.length === 5);
  await andon.close();
  report(andon, 1);
  await passUntil("what came after", () => server.records.length === 6);
  expect(andon.usageStats()).toMatchObject({ acknowledgedRecords: 6, droppedRecords: 0, waiting: 0 });
  expect(lines.filter(({ level }) => level === "error")).toEqual([]);
});

test("flush resolves when all that waits is counted, and ends nothing", async () => {
  const { andon, server, passUntil } = await start();
  report(andon, 2);
  server.next.push("reset");
  expect(await andon.flush()).toBe(true);
  expect(server.records).toHaveLength(2);
  report(andon, 1);
  await passUntil("the next report", () => server.records.length === 3);
});

test("flush gives up after its time; what waits is kept and comes later", async () => {
  const isHung: string[] = [];
  const dead: FetchLike = (to, init) => {
    if (init.body === undefined || isHung.push(init.body) > 1) return fetch(to, init);
    return new Promise<never>(() => undefined);
  };
  const { andon, server, runtime } = await start({ fetch: dead });
  report(andon, 2);
  const flushed = andon.flush({ timeoutMs: 300 });
  await until("the report", () => isHung.length === 1);
  runtime.advance(300);
  expect(await flushed).toBe(false);
  expect(andon.usageStats()).toMatchObject({ waiting: 2, droppedRecords: 0 });
  // As on Cloudflare, where a request that is over takes those it began with it, and their timers, without a word.
  runtime.freeze(20_001);
  expect(await andon.flush()).toBe(true);
  expect(server.records).toHaveLength(2);
  expect(isHung[1]).toBe(isHung[0]);
});

test("close gives up after two seconds, and says how much is lost", async () => {
  const { andon, server, runtime, lines } = await start();
  server.fate = "hang";
  report(andon, 2);
  const closed = andon.close();
  await until("the report", () => server.reports.length === 1);
  runtime.advance(2_000);
  await until("the loss", () => lines.some(({ level }) => level === "error"));
  runtime.advance(1_000);
  await closed;
  expect(andon.usageStats().droppedRecords).toBe(2);
});

test("without a server nothing is reported, and nothing kept", async () => {
  const andon = new Andon({ logger: new Follower().logger }, { env: {} });
  andon.report({ flag: FLAG, model: MODEL, usage: { input: 1 } });
  expect(andon.usageStats().waiting).toBe(0);
  await andon.close();
});

test("whatever the server does, each record counts in exactly one batch, and each batch is the same at every try", async () => {
  const fates = fc.array(
    fc.constantFrom<ReportFate>("count", "countSilently", "reset", 500, 429, 404, 413, { text: "" }),
    { maxLength: 12 },
  );
  const bursts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(fates, bursts, async (script, sizes) => {
      const { andon, server, runtime, passUntil } = await start();
      server.next.push(...script);
      const ids: string[] = [];
      for (const size of sizes) {
        ids.push(...report(andon, size, ids.length));
        runtime.advance(INTERVAL_MS);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await passUntil("an end", () => andon.usageStats().waiting === 0);
      const { acknowledgedRecords, droppedRecords } = andon.usageStats();
      expect(acknowledgedRecords + droppedRecords).toBe(ids.length);
      // Only a refusal of a single record loses it.
      const counted = server.records.map(({ id }) => id);
      expect(new Set(counted).size).toBe(counted.length);
      expect(counted.length).toBe(acknowledgedRecords);
      const bodies = new Map<string, string>();
      for (const { batchId, text } of server.reports) {
        expect(bodies.get(batchId) ?? text).toBe(text);
        bodies.set(batchId, text);
      }
    }),
    { numRuns: 25 },
  );
}, 60_000);
