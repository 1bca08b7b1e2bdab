/** Parked polls: let go by a change, a timeout, a disconnect or a drain, and then forgotten. */
import { expect, it } from "vitest";
import { ParkedPolls } from "../../src/services/parked-polls.ts";
import { FakeClock } from "../support/clock.ts";

const park = (parked: ParkedPolls, environmentId: string, signal: AbortSignal = never): Promise<boolean> =>
  new Promise((resolve) => parked.park(environmentId, 25_000, signal, resolve));

const never = new AbortController().signal;

it("lets go all polls of the environment that changed, and no others", async () => {
  const clock = new FakeClock();
  const parked = new ParkedPolls(clock);
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
  const parked = new ParkedPolls(clock);
  const waiting = park(parked, "a");
  clock.advance(24_999);
  expect(parked.count).toBe(1);
  clock.advance(1);
  await waiting;
  const left = new AbortController();
  const gone = park(parked, "a", left.signal);
  left.abort();
  await gone;
  expect(parked.count).toBe(0);
  expect(clock.pending).toBe(0);
});

it("parks nobody who is gone already or while the server drains", async () => {
  const parked = new ParkedPolls(new FakeClock());
  await park(parked, "a", AbortSignal.abort());
  const waiting = park(parked, "a");
  parked.drain();
  await waiting;
  await park(parked, "a");
  expect(parked.open).toBe(false);
  expect(parked.count).toBe(0);
});
