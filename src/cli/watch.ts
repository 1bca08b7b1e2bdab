/** `watch`: what `status` and `incidents` say, and from then on each line of it that is new, with its time. */
import { status, type Common } from "./commands.ts";
import { incidents } from "./incident-commands.ts";
import { CliError, EXIT_OK, EXIT_USAGE, type Io } from "./io.ts";
import { escapedLines } from "./printable.ts";

const EVERY_MS = 2_000;
/** What passes by itself is no news: "for 7 min", "120 ms". */
const PASSING = /\b(?:for )?\d+ (?:ms|s|min|h|d)\b/g;

export interface WatchOptions extends Common {
  /** How many times to look; until it is stopped when left out. */
  times?: number;
}

/** Looks every two seconds. A server that is away is said once, and what is so when it is back. */
export async function watch(io: Io, options: WatchOptions): Promise<number> {
  const { times = Infinity } = options;
  if (!(times >= 1)) throw new CliError("--times must be 1 or more.", EXIT_USAGE);
  let seen: Map<string, string> | null = null;
  let away: string | null = null;
  for (let look = 0; look < times; look += 1) {
    if (look > 0) await io.sleep(EVERY_MS);
    const answer = await linesOf(io, options.env);
    if (typeof answer === "string") {
      // What was so may still be: nothing of it is taken back.
      if (away !== answer) say(io, options, [answer]);
      away = answer;
      continue;
    }
    const now = new Map(answer.map((line) => [line.replaceAll(PASSING, ""), line]));
    say(io, options, [...(away === null ? [] : ["The server answers again."]), ...newsOf(seen, now)]);
    away = null;
    seen = now;
  }
  return EXIT_OK;
}

/** Lines that were not there, and those whose subject is told of no more. */
function newsOf(seen: ReadonlyMap<string, string> | null, now: ReadonlyMap<string, string>): string[] {
  if (seen === null) return [...now.values()];
  const subjects = new Set([...now.values()].map(subjectOf));
  return [
    ...[...now].filter(([key]) => !seen.has(key)).map(([, line]) => line),
    ...[...seen.values()].filter((line) => !subjects.has(subjectOf(line))).map((line) => `no more: ${line}`),
  ];
}

/** What the commands say; one text when they cannot. */
async function linesOf(io: Io, env: string): Promise<string[] | string> {
  const lines: string[] = [];
  const hear = (line: string): void => {
    lines.push(line);
  };
  const heard: Io = { ...io, out: hear, err: hear };
  try {
    await status(heard, undefined, { env });
    await incidents(heard, { env });
    return lines;
  } catch (error) {
    // Wrong usage does not mend itself; all else may be over in two seconds.
    if (!(error instanceof CliError) || error.exitCode === EXIT_USAGE) throw error;
    return error.message;
  }
}

function say(io: Io, { json = false }: Common, lines: readonly string[]): void {
  const at = new Date(io.nowMs()).toISOString();
  for (const line of lines) {
    if (json) escapedLines(JSON.stringify({ at, line })).forEach((each) => io.out(each));
    else io.out(`${at.slice(11, 19)} UTC  ${line}`);
  }
}

/** What a line is about: a flag, a model, an incident's id. */
function subjectOf(line: string): string {
  return line.split(/: |, | {2}/, 1)[0] ?? line;
}
