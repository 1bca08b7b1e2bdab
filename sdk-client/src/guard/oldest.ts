/**
 * The keys of a Map, the oldest first, for whoever forgets one for each that is added. Invariant: a key that is answered is
 * deleted, or set anew at the end, before the next is asked for. The iterator is kept: one that begins anew each time walks
 * past all that was deleted before, which makes each new entry of a large Map cost tens of microseconds.
 */
export class Oldest<K> {
  readonly #map: ReadonlyMap<K, unknown>;
  #keys: MapIterator<K>;

  constructor(map: ReadonlyMap<K, unknown>) {
    this.#map = map;
    this.#keys = map.keys();
  }

  /** Undefined when the Map is empty. */
  next(): K | undefined {
    const { value, done } = this.#keys.next();
    if (done !== true) return value;
    // It ended once: what came since it does not see.
    this.#keys = this.#map.keys();
    return this.#keys.next().value;
  }
}
