/**
 * The local override: `ANDON_KILL` of the process switches flags off before anything else is asked, with no server at
 * all. It can only ever switch off.
 */

export interface LocalKill {
  /** True for `*`: every flag is off. */
  readonly all: boolean;
  readonly flags: ReadonlySet<string>;
}

/** Reads `ANDON_KILL`: `*` or flag keys separated by commas. Null when it names nothing. */
export function parseLocalKill(text: string | undefined): LocalKill | null {
  const names = (text ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  if (names.length === 0) return null;
  return { all: names.includes("*"), flags: new Set(names) };
}

/** True when the override switches this flag off. */
export function isKilledLocally(kill: LocalKill, flag: string): boolean {
  return kill.all || kill.flags.has(flag);
}
