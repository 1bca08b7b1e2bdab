/** The real server by a clock that is ahead of its database's: in a soak hours turn within a minute. */
import { DatabaseClock } from "../../src/clock.ts";

/** In the environment: milliseconds that its clock is ahead. */
const AHEAD_VARIABLE = "ANDON_SOAK_AHEAD_MS";

const aheadMs = Number(process.env[AHEAD_VARIABLE] ?? 0);
// Not read as settings of the server's, which refuses names that it does not know.
delete process.env[AHEAD_VARIABLE];
const nowMs = Reflect.get(DatabaseClock.prototype, "nowMs");
Reflect.set(DatabaseClock.prototype, "nowMs", function ahead(this: DatabaseClock): number {
  return nowMs.call(this) + aheadMs;
});
await import("../../src/main.ts");
