/** Reads JSON whose shape is not known. */

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The object that a text says; null when it is not the text of a JSON object. */
export function parseObject(text: unknown): Record<string, unknown> | null {
  if (typeof text !== "string") return null;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    // Not JSON: whoever asked has nothing to read, and says so.
    parsed = null;
  }
  return isObject(parsed) ? parsed : null;
}
