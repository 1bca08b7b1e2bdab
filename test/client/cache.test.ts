/** The disk cache: the last state across restarts, only for whom it was written, never half, never with the token. */
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Andon } from "../../sdk-client/src/index.ts";
import { Follower, startClient, startHarness, TOKEN } from "./support/harness.ts";
import { ManualRuntime } from "./support/manual-runtime.ts";
import { makeKilled, makeSnapshot } from "./support/snapshots.ts";

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "andon-cache-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Leaves behind the cache of a client that saw `revision` with the flag `chat` killed; the server is gone after it. */
async function leaveCache(cacheFile: string, revision = "a.5"): Promise<string> {
  const { andon, server, url } = await startHarness({ cacheFile, snapshot: makeKilled(revision) });
  await andon.ready({ timeoutMs: 5_000 });
  await andon.close();
  await server.close();
  return url;
}

function startAway(url: string, cacheFile: string, token = TOKEN) {
  const follower = new Follower();
  const andon = startClient({ url, cacheFile, token, logger: follower.logger }, new ManualRuntime());
  return { andon, follower };
}

test("a client that starts while the server is away decides by its cache", async () => {
  const cacheFile = join(await makeFolder(), "deep", "andon.json");
  const url = await leaveCache(cacheFile);
  const runtime = new ManualRuntime();
  const andon = startClient({ url, cacheFile, logger: new Follower().logger }, runtime);
  expect(andon.evaluate("chat")).toMatchObject({ enabled: false, reason: "KILLED", revision: "a.5", staleMs: null });
  const ready = andon.ready({ timeoutMs: 100 });
  runtime.advance(100);
  expect(await ready).toBe("cache");
});

test("a client that starts while the server is away, without a cache, follows onUnknown", async () => {
  const { andon, follower } = startAway("http://127.0.0.1:1", join(await makeFolder(), "andon.json"));
  expect(andon.evaluate("chat")).toMatchObject({ enabled: true, reason: "UNKNOWN" });
  expect(follower.lines.filter((line) => line.message.includes("cache"))).toEqual([]);
});

test("the cached revision is the first receipt, and a newer state replaces it", async () => {
  const cacheFile = join(await makeFolder(), "andon.json");
  const { server, url } = await startHarness({ cacheFile, snapshot: makeKilled("a.5") });
  await server.until(() => server.parkedCount === 1);
  const earlier = server.polls.length;
  // The file is written in the background; closing waits for it.
  const writer = new Andon({ url, token: TOKEN, cacheFile, logger: new Follower().logger });
  await writer.ready();
  await writer.close();
  server.publish(makeSnapshot("a.6"));
  const { andon } = startAway(url, cacheFile);
  expect(await andon.ready({ timeoutMs: 5_000 })).toBe("live");
  expect(andon.evaluate("chat")).toMatchObject({ enabled: true, revision: "a.6" });
  const receipts = server.polls.slice(earlier).map((poll) => poll.headers["if-none-match"]);
  expect(receipts).toContain('"a.5"');
});

test("a 304 to the cached revision makes it live", async () => {
  const cacheFile = join(await makeFolder(), "andon.json");
  const { andon: first, server, url } = await startHarness({ cacheFile });
  await first.ready({ timeoutMs: 5_000 });
  await first.close();
  const { andon } = startAway(url, cacheFile);
  expect(await andon.ready({ timeoutMs: 5_000 })).toBe("live");
  expect(server.polls.at(-1)?.headers["if-none-match"]).toBe('"a.1"');
});

test("the file is the owner's alone, holds no token and leaves nothing beside it", async () => {
  const folder = await makeFolder();
  const cacheFile = join(folder, "andon.json");
  await leaveCache(cacheFile);
  expect((await stat(cacheFile)).mode & 0o777).toBe(0o600);
  expect(await readFile(cacheFile, "utf8")).not.toContain(TOKEN);
  expect(await readdir(folder)).toEqual(["andon.json"]);
});

test.each([
  ["another token", "", "andon_sdk_other"],
  ["another url", "/elsewhere", TOKEN],
])("a cache of %s is refused, said so, and left alone", async (_what, path, token) => {
  const cacheFile = join(await makeFolder(), "andon.json");
  const url = await leaveCache(cacheFile);
  const before = await readFile(cacheFile, "utf8");
  const { andon, follower } = startAway(url + path, cacheFile, token);
  expect(andon.hasState).toBe(false);
  expect(follower.lines.some((line) => line.level === "warn" && line.message.includes("cache"))).toBe(true);
  expect(await readFile(cacheFile, "utf8")).toBe(before);
});

test("a cache that names another environment than its snapshot is refused", async () => {
  const cacheFile = join(await makeFolder(), "andon.json");
  const url = await leaveCache(cacheFile);
  await writeFile(cacheFile, (await readFile(cacheFile, "utf8")).replace('"production"', '"staging"'));
  expect(startAway(url, cacheFile).andon.hasState).toBe(false);
});

test("a cache cut off anywhere is refused, never half believed", async () => {
  const cacheFile = join(await makeFolder(), "andon.json");
  const url = await leaveCache(cacheFile);
  const whole = await readFile(cacheFile, "utf8");
  for (let length = 0; length < whole.length; length += 37) {
    await writeFile(cacheFile, whole.slice(0, length));
    expect(startAway(url, cacheFile).andon.hasState).toBe(false);
  }
});

test("a path that cannot be written is logged, and the client works without", async () => {
  const folder = await makeFolder();
  const blocker = join(folder, "file");
  await writeFile(blocker, "");
  const harness = await startHarness({ cacheFile: join(blocker, "andon.json") });
  expect(await harness.andon.ready({ timeoutMs: 5_000 })).toBe("live");
  await harness.andon.close();
  expect(harness.lines.some((line) => line.level === "error" && line.message.includes("could not be written"))).toBe(
    true,
  );
});

test("of cache and bootstrap the later of one lineage decides, else the cache", async () => {
  const cacheFile = join(await makeFolder(), "andon.json");
  const url = await leaveCache(cacheFile, "a.5");
  const revisionWith = (bootstrap: string): string | null => {
    const { logger } = new Follower();
    const options = { url, cacheFile, logger, bootstrap: makeSnapshot(bootstrap) };
    return startClient(options, new ManualRuntime()).evaluate("chat").revision;
  };
  expect(revisionWith("a.4")).toBe("a.5");
  expect(revisionWith("a.6")).toBe("a.6");
  expect(revisionWith("b.900")).toBe("a.5");
});
