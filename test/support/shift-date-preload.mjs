/**
 * Loaded first (`NODE_OPTIONS=--import`) into the tests and every process that they start: `Date` says another day
 * there, by TEST_DATE_SHIFT_MS. Timers and monotonic clocks are left alone.
 */
import { ChildProcess } from "node:child_process";
import { shiftDate, shiftMs } from "./shift-date.mjs";

shiftDate(shiftMs);
shiftChildren();

/** Tests start processes with an environment of their own; without this they would live on another day. */
function shiftChildren() {
  const inherited = ["NODE_OPTIONS", "TEST_DATE_SHIFT_MS", "TZ"].filter((name) => process.env[name] !== undefined);
  const { spawn } = ChildProcess.prototype;
  ChildProcess.prototype.spawn = function spawnShifted(options) {
    const given = options.envPairs ?? [];
    const missing = inherited.filter((name) => !given.some((pair) => pair.startsWith(`${name}=`)));
    const envPairs = [...given, ...missing.map((name) => `${name}=${process.env[name]}`)];
    return spawn.call(this, { ...options, envPairs });
  };
}
