/** An answer's `Retry-After`, seconds or a date, in milliseconds; null when it has none. */
export function retryAfterMs(response: Response, nowMs: number): number | null {
  const header = response.headers.get("retry-after");
  if (header === null) return null;
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1000;
  const atMs = Date.parse(header);
  return Number.isNaN(atMs) ? null : Math.max(0, atMs - nowMs);
}
