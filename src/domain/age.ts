/** How long something has lasted, for pages and command line alike. Pure. */

const MINUTE_SECONDS = 60;
const HOUR_SECONDS = 3_600;
const DAY_SECONDS = 86_400;
/** Above this an age is shown in steps, so that the page does not change every second. */
const EXACT_AGE_SECONDS = 10;

/** "4 s", "40 s", "3 min", "2 h", "5 d". Ages of 10 s and more are rounded down to ten seconds. */
export function age(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < EXACT_AGE_SECONDS) return `${whole} s`;
  if (whole < MINUTE_SECONDS) return `${whole - (whole % 10)} s`;
  if (whole < HOUR_SECONDS) return `${Math.floor(whole / MINUTE_SECONDS)} min`;
  if (whole < 2 * DAY_SECONDS) return `${Math.floor(whole / HOUR_SECONDS)} h`;
  return `${Math.floor(whole / DAY_SECONDS)} d`;
}
