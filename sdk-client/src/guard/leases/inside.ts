/**
 * Whether a call is made inside of a running call that has money set aside: it must not wait for what its own caller may
 * hold. Only asked where a budget reserves, as following the context costs every promise a little.
 */

interface Storage {
  run<T>(value: true, work: () => T): T;
  getStore(): true | undefined;
}

let storage: Storage | null | undefined;

/** Does the work; calls made in it are inside. */
export function runInside<T>(work: () => T): T {
  const known = storageOf();
  return known === null ? work() : known.run(true, work);
}

export function isInside(): boolean {
  return storage?.getStore() === true;
}

/** Null where the runtime has none: calls inside then wait as others do, for as long as their budget says. */
function storageOf(): Storage | null {
  if (storage === undefined) storage = makeStorage();
  return storage;
}

function makeStorage(): Storage | null {
  if (typeof process === "undefined" || typeof process.getBuiltinModule !== "function") return null;
  const { AsyncLocalStorage } = process.getBuiltinModule("node:async_hooks");
  return new AsyncLocalStorage<true>();
}
