/** Bounded waiting for something that another process does. */
import { setTimeout as sleep } from "node:timers/promises";

const LOOK_EVERY_MS = 10;

/** Looks until the condition holds. The milliseconds it took; null when the time was up first. */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  timeoutMs: number,
  lookEveryMs = LOOK_EVERY_MS,
): Promise<number | null> {
  const startedMs = performance.now();
  for (;;) {
    if (await condition()) return performance.now() - startedMs;
    if (performance.now() - startedMs >= timeoutMs) return null;
    await sleep(lookEveryMs);
  }
}

/** Unix time in milliseconds with fractions: comparable between processes of one machine, unlike `performance.now()`. */
export function wallMs(): number {
  return performance.timeOrigin + performance.now();
}
