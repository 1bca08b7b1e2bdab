/** For callers outside the services: what to throw when the database did not answer. */
import { databaseFault } from "../../db/away.ts";

/** DATABASE_AWAY or OVERLOADED when that is what `error` means, else `error` itself. */
export function toAway(error: unknown): unknown {
  return databaseFault(error);
}
