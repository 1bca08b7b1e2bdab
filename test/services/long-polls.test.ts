/** Parked polls: let go by a change, a timeout, a disconnect or a drain, and then forgotten. */
import { expect, it } from "vitest";
import type { PollConnection } from "../../src/services/snapshots/poll-connection.ts";
import { LongPolls } from "../../src/services/snapshots/long-polls.ts";
import { FakeClock } from "../support/clock.ts";

const noSpread = () => 0;
const somebody = (): PollConnection => ({ gone: false, leave: null });
const park = (parked: LongPolls, environmentId: string, peer = somebody()): Promise<boolean> =>
  new Promise((resolve) => parked.park(environmentId, 25_000, peer, resolve));

it("lets go all polls of the environment that changed, and no others", async () => {
  const clock = new FakeClock();
  const parked = new LongPolls(clock, noSpread);
  const own = [park(parked, "a"), park(parked, "a")];
  let otherLeft = false;
  void park(parked, "b").then(() => (otherLeft = true));
  parked.release("a");
  await Promise.all(own);
  expect(parked.count).toBe(1);
  expect(otherLeft).toBe(false);
});

it("lets a poll go when its time is up, and keeps no timer of one that left before", async () => {
  const clock = new FakeClock();
  const parked = new LongPolls(clock, noSpread);
  const waiting = park(parked, "a");
  clock.advance(24_999);
  expect(parked.count).toBe(1);
  clock.advance(1);
  await waiting;
  const peer = somebody();
  const gone = park(parked, "a", peer);
  peer.leave?.(true);
  await gone;
  expect(parked.count).toBe(0);
  expect(clock.pending).toBe(0);
});

it("parks nobody who is gone already or while the server drains", async () => {
  const parked = new LongPolls(new FakeClock(), noSpread);
  await park(parked, "a", { gone: true, leave: null });
  const waiting = park(parked, "a");
  parked.drain();
  await waiting;
  await park(parked, "a");
  expect(parked.open).toBe(false);
  expect(parked.count).toBe(0);
});

it("lets a peer's poll go when its next one takes the place", async () => {
  const parked = new LongPolls(new FakeClock(), noSpread);
  const peer = somebody();
  const first = park(parked, "a", peer);
  void park(parked, "a", peer);
  expect(await first).toBe(false);
  expect(parked.count).toBe(1);
});

it("lets a fleet that was parked together go over ten seconds, none before the time that looks like no parking", async () => {
  const clock = new FakeClock();
  let n = 0;
  const parked = new LongPolls(clock, () => (n++ % 100) / 100);
  for (let i = 0; i < 100; i += 1) void park(parked, "a");
  const waiting = Array.from({ length: 26 }, () => {
    const count = parked.count;
    clock.advance(1000);
    return count;
  });
  expect(waiting[15]).toBeGreaterThan(95);
  expect(waiting[25]).toBe(0);
  const left = waiting.slice(1).map((count, at) => (waiting[at] ?? 0) - count);
  expect(Math.max(...left)).toBeLessThanOrEqual(11);
  parked.park("a", 1000, somebody(), () => undefined);
  clock.advance(999);
  expect(parked.count).toBe(1);
});
