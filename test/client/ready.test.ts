/** How a client starts: what `ready` says, what decides until the server answers, and what bad options do. */
import { expect, test } from "vitest";
import { Andon, type AndonOptions } from "../../sdk-client/src/index.ts";
import { Follower, startClient, startHarness, TOKEN } from "./support/harness.ts";
import { ManualRuntime } from "./support/manual-runtime.ts";
import { makeKilled } from "./support/snapshots.ts";

const NOBODY = "http://127.0.0.1:1";

test("ready is live as soon as the first snapshot decides", async () => {
  const { andon } = await startHarness({ snapshot: makeKilled("a.1") });
  expect(await andon.ready({ timeoutMs: 1_000_000 })).toBe("live");
  expect(andon.evaluate("chat")).toMatchObject({ enabled: false, reason: "KILLED", revision: "a.1", staleMs: 0 });
  expect(await andon.ready()).toBe("live");
});

test.each([
  ["none", undefined],
  ["bootstrap", makeKilled("a.1")],
])("ready is %s when its time is up", async (readiness, bootstrap) => {
  const runtime = new ManualRuntime();
  const { logger } = new Follower();
  const andon = startClient({ url: NOBODY, logger, fetch, bootstrap }, runtime);
  const ready = andon.ready({ timeoutMs: 300 });
  runtime.advance(299);
  expect(await Promise.race([ready, Promise.resolve("waiting")])).toBe("waiting");
  runtime.advance(1);
  expect(await ready).toBe(readiness);
});

test("an unreadable timeout of ready is the default of two seconds", async () => {
  const runtime = new ManualRuntime();
  const andon = startClient({ url: NOBODY, logger: new Follower().logger, fetch }, runtime);
  const ready = andon.ready({ timeoutMs: Number.NaN });
  runtime.advance(2_000);
  expect(await ready).toBe("none");
});

test("while a client closes it answers ready at once", async () => {
  const andon = startClient({ url: NOBODY, logger: new Follower().logger }, new ManualRuntime());
  const closed = andon.close();
  expect(await andon.ready({ timeoutMs: 1_000_000 })).toBe("none");
  await closed;
});

test("nothing known: onUnknown decides, of the call before that of the client", () => {
  const { logger } = new Follower();
  const on = startClient({ logger }, new ManualRuntime());
  const off = startClient({ logger, onUnknown: "off" }, new ManualRuntime());
  expect(on.isEnabled("chat")).toBe(true);
  expect(off.isEnabled("chat")).toBe(false);
  expect(off.isEnabled("chat", {}, { onUnknown: "on" })).toBe(true);
  expect(on.evaluate("chat", {}, { onUnknown: "off" })).toMatchObject({ enabled: false, reason: "UNKNOWN" });
});

test("a flag that Andon does not have is told of once, and only when the server has said so", async () => {
  const { andon, lines } = await startHarness({ snapshot: makeKilled("a.1"), bootstrap: makeKilled("a.0") });
  const told = () => lines.filter(({ level, message }) => level === "warn" && message.includes("Andon has no flag"));
  andon.evaluate("caht");
  expect(told()).toEqual([]);
  await andon.ready({ timeoutMs: 1_000_000 });
  for (const flag of ["chat", "caht", "caht", "serach"]) andon.isEnabled(flag);
  expect(told().map(({ fields }) => fields)).toEqual([{ flag: "caht" }, { flag: "serach" }]);
  for (let at = 0; at < 1_000; at += 1) andon.isEnabled(`made-up-${at}`);
  expect(told()).toHaveLength(100);
});

test("url and token come from the environment when not given", async () => {
  const { url, server } = await startHarness();
  const { logger } = new Follower();
  const andon = new Andon(
    { logger },
    { runtime: new ManualRuntime(), env: { ANDON_URL: `${url}/`, ANDON_TOKEN: "t-2" } },
  );
  expect(await andon.ready({ timeoutMs: 5_000 })).toBe("live");
  expect(server.polls.some((poll) => poll.headers.authorization === "Bearer t-2")).toBe(true);
  await andon.close();
});

test("ANDON_KILL switches flags off before the server is asked, and after it says on", async () => {
  const harness = await startHarness();
  const { url } = harness;
  const { logger } = new Follower();
  const andon = startClient({ url, logger }, new ManualRuntime(), { ANDON_KILL: "chat, other" });
  expect(andon.evaluate("chat")).toMatchObject({ enabled: false, reason: "LOCAL", revision: null });
  expect(andon.isEnabled("third")).toBe(true);
  await andon.ready({ timeoutMs: 5_000 });
  expect(andon.evaluate("chat")).toMatchObject({ enabled: false, reason: "LOCAL", revision: "a.1" });
});

test("ANDON_KILL is told with each poll, and a name in it that no flag has is warned of once", async () => {
  const { url, server } = await startHarness();
  const { lines, logger } = new Follower();
  const andon = startClient({ url, logger, instance: "held" }, new ManualRuntime(), {
    ANDON_KILL: "chat, caht, no key\u00e9",
  });
  await andon.ready({ timeoutMs: 5_000 });
  const own = () => server.polls.filter(({ headers }) => headers["andon-instance"] === andon.instance);
  await server.until(() => own().length > 1);
  expect(new Set(own().map(({ headers }) => headers["andon-local"]))).toEqual(new Set(["chat,caht"]));
  const told = lines.filter(({ message }) => message.startsWith("ANDON_KILL names"));
  expect(told.map(({ fields }) => fields)).toEqual([{ flag: "caht" }, { flag: "no key\u00e9" }]);
});

test("ANDON_KILL that is too long for a header is told as everything, which is said", async () => {
  const { url, server } = await startHarness();
  const { lines, logger } = new Follower();
  const names = Array.from({ length: 200 }, (_, n) => `feature-${n}`);
  startClient({ url, logger }, new ManualRuntime(), { ANDON_KILL: names.join(",") });
  await server.until(() => server.polls.some(({ headers }) => headers["andon-local"] === "*"));
  expect(lines.some(({ message }) => message.includes("Andon shows it as all of them"))).toBe(true);
});

test("clients of one process name the same boot, in polls, reports and the goodbye", async () => {
  const { url, server } = await startHarness();
  const { logger } = new Follower();
  const clients = [1, 2].map(() => startClient({ url, logger }, new ManualRuntime()));
  await Promise.all(clients.map((client) => client.ready({ timeoutMs: 5_000 })));
  await Promise.all(clients.map((client) => client.close()));
  expect(server.requests.some(({ method }) => method === "DELETE")).toBe(true);
  const boots = new Set(server.requests.map(({ headers }) => headers["andon-boot"]));
  expect([...boots]).toEqual([expect.stringMatching(/^[\da-f-]{36}$/)]);
});

const badOptions: [string, Record<string, unknown>][] = [
  ["url", { url: "not a url" }],
  ["url", { url: "ftp://host" }],
  ["url", { url: "http://user:secret@host" }],
  ["url", { url: "http://host/?a=1" }],
  ["url", { url: 5 }],
  ["url", {}],
  ["token", { url: NOBODY, token: "two words" }],
  ["token", { url: NOBODY, token: "line\nbreak" }],
  ["token", { url: NOBODY, token: "" }],
  ["token", { url: NOBODY, token: null }],
];

test.each(badOptions)(
  "a bad %s does not throw, is named in the log without its value, and nothing is polled",
  async (name, bad) => {
    const { lines, logger } = new Follower();
    const andon = construct({ logger, ...bad }, new ManualRuntime());
    expect(await andon.ready({ timeoutMs: 1_000_000 })).toBe("none");
    expect(lines.some((line) => line.level === "error" && line.message.includes(`"${name}"`))).toBe(true);
    expect(JSON.stringify(lines)).not.toMatch(/secret|two words/);
    await andon.close();
  },
);

test.each([
  ["pollIntervalMs", -1],
  ["pollIntervalMs", Number.NaN],
  ["pollIntervalMs", "5000"],
  ["waitSeconds", 1e9],
  ["flushIntervalMs", 0],
  ["cacheFile", 5],
  ["fetch", "fetch"],
  ["app", "two\r\nlines"],
  ["instance", "ü"],
  ["onUnknown", "maybe"],
  ["bootstrap", "text"],
])("a bad %s is named in the log and replaced by its default; polling goes on", async (name, value) => {
  const { url } = await startHarness();
  const { lines, logger } = new Follower();
  const andon = construct({ url, token: TOKEN, logger, [name]: value }, new ManualRuntime());
  expect(await andon.ready({ timeoutMs: 5_000 })).toBe("live");
  expect(lines.filter((line) => line.level === "error" && line.message.includes(`"${name}"`))).toHaveLength(1);
  await andon.close();
});

test("options whose getters throw do not make the constructor throw", async () => {
  const { logger } = new Follower();
  const hostile = new Proxy(
    { logger },
    {
      ownKeys: () => {
        throw new Error("hostile");
      },
    },
  );
  const andon = new Andon(hostile, { runtime: new ManualRuntime(), env: {} });
  expect(await andon.ready()).toBe("none");
  await andon.close();
});

test("a logger that throws hurts nothing", async () => {
  const { url } = await startHarness();
  const logger = { debug: fail, info: fail, warn: fail, error: fail };
  const andon = startClient({ url, logger, waitSeconds: -1 }, new ManualRuntime());
  expect(await andon.ready({ timeoutMs: 5_000 })).toBe("live");
});

test("each client has its own instance name that begins with the host", () => {
  const { logger } = new Follower();
  const names = [0, 1].map(() => new Andon({ logger }, { runtime: new ManualRuntime(), env: {} }).instance);
  expect(names[0]).not.toBe(names[1]);
  expect(names[0]).toMatch(/^[A-Za-z0-9.-]*[0-9a-f]{8}-[0-9a-f-]{27}$/);
});

/** A fetch that never answers, not even to its signal. */
function fetch(): Promise<never> {
  return new Promise(() => undefined);
}

function fail(): never {
  throw new Error("no log today");
}

/** Constructs with what the types forbid. */
function construct(options: object, runtime: ManualRuntime): Andon {
  const untyped: AndonOptions = options;
  return new Andon(untyped, { runtime, env: {} });
}
