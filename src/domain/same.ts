/**
 * Whether two values would be kept as the same JSON. Neither the order of fields counts, which the database changes, nor a
 * field without a value, which JSON leaves out.
 */
import { isObject } from "../../sdk-client/src/wire/json.ts";

export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (a instanceof Date || b instanceof Date) {
    return a instanceof Date && b instanceof Date && a.getTime() === b.getTime();
  }
  if (Array.isArray(a) && Array.isArray(b)) return sameList(a, b);
  if (!isObject(a) || !isObject(b)) return false;
  return (
    Object.keys(a).every((name) => same(a[name], b[name])) &&
    Object.keys(b).every((name) => b[name] === undefined || Object.hasOwn(a, name))
  );
}

function sameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, index) => same(item, b[index]));
}
