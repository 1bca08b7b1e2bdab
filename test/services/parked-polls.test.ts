/** Parked polls: let go by a change, a timeout, a disconnect or a drain, and then forgotten. */
import { expect, it } from "vitest";
import { ParkedPolls } from "../../src/services/parked-polls.ts";
import { FakeClock } from "../support/clock.ts";

const never = new AbortController().signal;

it("lets go all polls of the environment that changed, and no others", async () => {
  const clock = new FakeClock();
  const parked = new ParkedPolls(clock);
  const own = [parked.park("a", 25_000, never), parked.park("a", 25_000, never)];
  let otherLeft = false;
  void parked.park("b", 25_000, never).then(() => (otherLeft = true));
  parked.release("a");
  await Promise.all(own);
  expect(parked.count).toBe(1);
  expect(otherLeft).toBe(false);
});

it("lets a poll go when its time is up, and keeps no timer of one that left before", async () => {
  const clock = new FakeClock();
  const parked = new ParkedPolls(clock);
  const waiting = parked.park("a", 25_000, never);
  clock.advance(24_999);
  expect(parked.count).toBe(1);
  clock.advance(1);
  await waiting;
  const left = new AbortController();
  const gone = parked.park("a", 25_000, left.signal);
  left.abort();
  await gone;
  expect(parked.count).toBe(0);
  expect(clock.pending).toBe(0);
});

it("parks nobody who is gone already or while the server drains", async () => {
  const parked = new ParkedPolls(new FakeClock());
  await parked.park("a", 25_000, AbortSignal.abort());
  const waiting = parked.park("a", 25_000, never);
  parked.drain();
  await waiting;
  await parked.park("a", 25_000, never);
  expect(parked.open).toBe(false);
  expect(parked.count).toBe(0);
});
