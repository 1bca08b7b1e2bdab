/** Another day for a run of the tests (`npm run test:dates`): by how much, and what moves a realm's `Date` there. */

/** By how much this run is moved, in milliseconds; 0 on an ordinary one. */
export const shiftMs = Number(process.env["TEST_DATE_SHIFT_MS"] ?? 0);

/** Moves the `Date` of the realm that it runs in. Self-contained: a browser is given its text. */
export function shiftDate(byMs) {
  const RealDate = Date;
  const nowMs = () => RealDate.now() + byMs;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, given, newTarget) => Reflect.construct(target, given.length > 0 ? given : [nowMs()], newTarget),
    apply: () => new RealDate(nowMs()).toString(),
    get: (target, key) => (key === "now" ? nowMs : Reflect.get(target, key)),
  });
  RealDate.prototype.constructor = globalThis.Date;
  Object.defineProperty(performance, "timeOrigin", { value: performance.timeOrigin + byMs });
}
