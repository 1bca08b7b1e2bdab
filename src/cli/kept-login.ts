/**
 * A server and a token that are kept for the next command, in a file that only this user can read. What the environment
 * says wins; and a token goes to no other server than the one it was given for.
 */
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { CliError, EXIT_USAGE, type Io } from "./io.ts";

const OWNER_ONLY = 0o600;
const OWNER_ONLY_FOLDER = 0o700;
const OTHERS = 0o077;
export const URL_VARIABLE = "ANDON_URL";
/** Of a person or CI. The application has its own, by another name, so that both fit one shell. */
export const TOKEN_VARIABLE = "ANDON_OP_TOKEN";
const keptSchema = z.object({ url: z.string(), token: z.string() });
type KeptLogin = z.infer<typeof keptSchema>;

/** The same outside world, where what the environment leaves out is what `login` has kept. */
export function withLogin(io: Io): Io {
  const { [URL_VARIABLE]: url = "", [TOKEN_VARIABLE]: token = "" } = io.env;
  if (token !== "") return io;
  const kept = read(io);
  if (kept === null || (url !== "" && !sameServer(url, kept.url))) return io;
  return { ...io, env: { ...io.env, [URL_VARIABLE]: kept.url, [TOKEN_VARIABLE]: kept.token } };
}

/** Whole or not at all, and never readable by others, not for a moment. */
export function keepLogin(file: string, kept: KeptLogin): void {
  mkdirSync(dirname(file), { recursive: true, mode: OWNER_ONLY_FOLDER });
  const fresh = `${file}.new`;
  rmSync(fresh, { force: true });
  writeFileSync(fresh, `${JSON.stringify(kept)}\n`, { mode: OWNER_ONLY, flag: "wx" });
  chmodSync(fresh, OWNER_ONLY);
  renameSync(fresh, file);
}

/** Removes what is kept. */
export function forgetLogin(file: string): void {
  rmSync(file, { force: true });
}

/** Where it is kept; null without a home folder. */
export function loginFile({ env }: Io): string | null {
  const home = env["HOME"] ?? env["USERPROFILE"] ?? "";
  const config = env["XDG_CONFIG_HOME"] ?? "";
  if (config !== "") return join(config, "andon", "login.json");
  return home === "" ? null : join(home, ".config", "andon", "login.json");
}

/** Null when nothing is kept. CliError for a file that others can read, or that is not ours. */
function read(io: Io): KeptLogin | null {
  const file = loginFile(io);
  const mode = file === null ? undefined : statSync(file, { throwIfNoEntry: false })?.mode;
  if (file === null || mode === undefined) return null;
  // Windows has no such modes: a user's folder is its own there.
  if (process.platform !== "win32" && (mode & OTHERS) !== 0)
    throw new CliError(`${file} can be read by others. Revoke its token, and run andon login again.`, EXIT_USAGE);
  const parsed = keptSchema.safeParse(parse(readFileSync(file, "utf8")));
  if (!parsed.success)
    throw new CliError(`${file} is not as andon login writes it: run andon login again.`, EXIT_USAGE);
  return parsed.data;
}

function sameServer(one: string, other: string): boolean {
  return URL.canParse(one) && URL.canParse(other) && new URL(one).href === new URL(other).href;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
