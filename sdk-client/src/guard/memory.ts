/** What the guards of one host have learned that bounds what they cannot see. */
import { Pace } from "./pace.ts";
import { Threads } from "./threads.ts";

export interface Memory {
  readonly pace: Pace;
  readonly threads: Threads;
}

const byHost = new WeakMap<object, Memory>();

/** The memory of a host, made on first use. */
export function memoryOf(host: object): Memory {
  const known = byHost.get(host);
  if (known !== undefined) return known;
  const made = { pace: new Pace(), threads: new Threads() };
  byHost.set(host, made);
  return made;
}
