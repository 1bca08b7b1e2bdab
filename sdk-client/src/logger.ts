/**
 * Logging that cannot hurt: a logger of the application that throws is contained, and the default one writes warnings
 * and errors to the console, each text at most once a minute. Nothing here ever sees the token.
 */
import type { GuardLogger } from "./guard-host.ts";

/** A pino-shaped logger. */
export type AndonLogger = GuardLogger;

const LEVELS = ["debug", "info", "warn", "error"] as const;
type Level = (typeof LEVELS)[number];

const REPEAT_AFTER_MS = 60_000;
/** Different texts remembered; more than this client has. */
const MAX_REMEMBERED = 100;

/** Warnings and errors to the console, each text at most once a minute; debug and info nowhere. */
export function consoleLogger(monotonicMs: () => number): AndonLogger {
  const lastAtMs = new Map<string, number>();
  const write = (level: "warn" | "error") => (fields: object, message: string) => {
    const nowMs = monotonicMs();
    if (nowMs - (lastAtMs.get(message) ?? Number.NEGATIVE_INFINITY) < REPEAT_AFTER_MS) return;
    if (lastAtMs.size >= MAX_REMEMBERED) lastAtMs.clear();
    lastAtMs.set(message, nowMs);
    console[level](`[andon] ${message}`, fields);
  };
  return { debug: ignore, info: ignore, warn: write("warn"), error: write("error"), isLevelEnabled };
}

/** True for anything with the four methods. */
export function isLogger(value: unknown): value is AndonLogger {
  if (typeof value !== "object" || value === null) return false;
  return LEVELS.every((level) => typeof Reflect.get(value, level) === "function");
}

/** Wraps a logger so that its failures stay out of the client's way. */
export function safeLogger(logger: AndonLogger): AndonLogger {
  let failed = false;
  const guarded = (level: Level) => (fields: object, message: string) => {
    try {
      logger[level](fields, message);
    } catch (error) {
      // Decisions and polling go on without a log; say so once, where it can be seen.
      if (!failed) console.error("[andon] the logger given to Andon throws; its lines are lost", error);
      failed = true;
    }
  };
  return {
    debug: guarded("debug"),
    info: guarded("info"),
    warn: guarded("warn"),
    error: guarded("error"),
    isLevelEnabled: (level) => {
      try {
        return logger.isLevelEnabled?.(level) !== false;
      } catch {
        // As above: then lines are written, and that says so.
        return true;
      }
    },
  };
}

function isLevelEnabled(level: string): boolean {
  return level === "warn" || level === "error";
}

function ignore(): void {
  // The default logger keeps debug and info to itself: a library does not talk unasked.
}
