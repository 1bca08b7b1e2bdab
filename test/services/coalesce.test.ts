/** Coalesced work: one run at a time, and never a run that began before it was asked for. */
import { expect, it } from "vitest";
import { Coalesced } from "../../src/services/shared/coalesce.ts";

function controlled() {
  const runs: { resolve(): void; reject(error: Error): void }[] = [];
  const coalesced = new Coalesced(() => new Promise((resolve, reject) => runs.push({ resolve, reject })));
  return { runs, coalesced };
}
const settle = () => new Promise((resolve) => setImmediate(resolve));

it("gives all who ask during a run one run that begins after it", async () => {
  const { runs, coalesced } = controlled();
  const first = coalesced.run();
  const later = [coalesced.run(), coalesced.run(), coalesced.run()];
  expect(runs).toHaveLength(1);
  runs[0]?.resolve();
  await first;
  await settle();
  expect(runs).toHaveLength(2);
  runs[1]?.resolve();
  await Promise.all(later);
  await settle();
  expect(runs).toHaveLength(2);
});

it("lets a failure reach only those who asked for that run", async () => {
  const { runs, coalesced } = controlled();
  const first = coalesced.run();
  const second = coalesced.run();
  runs[0]?.reject(new Error("lost"));
  await expect(first).rejects.toThrow("lost");
  await settle();
  runs[1]?.resolve();
  await expect(second).resolves.toBeUndefined();
});

it("never runs twice at once, whoever asks when", async () => {
  let running = 0;
  let most = 0;
  const coalesced = new Coalesced(async () => {
    running += 1;
    most = Math.max(most, running);
    await settle();
    running -= 1;
  });
  const asked: Promise<void>[] = [];
  for (let i = 0; i < 50; i += 1) {
    asked.push(coalesced.run());
    if (i % 3 === 0) await Promise.resolve();
    if (i % 7 === 0) await settle();
  }
  await Promise.all(asked);
  expect(most).toBe(1);
});
