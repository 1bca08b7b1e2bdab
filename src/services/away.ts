/** For callers outside the services: what to throw when the database did not answer. */
import { databaseAway, isDatabaseAway } from "../db/away.ts";

/** DATABASE_AWAY when that is what `error` means, else `error` itself. */
export function toAway(error: unknown): unknown {
  return isDatabaseAway(error) ? databaseAway(error) : error;
}
