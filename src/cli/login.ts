/** `login` and `logout`: a token is tried before it is kept. */
import { callerSchema } from "../api/token.ts";
import { createApiClient } from "./api-client.ts";
import { CliError, EXIT_OK, EXIT_USAGE, type Io } from "./io.ts";
import { forgetLogin, keepLogin, loginFile, TOKEN_VARIABLE, URL_VARIABLE } from "./kept-login.ts";
import { jsonLines } from "./printable.ts";
import { tolerant } from "./tolerant.ts";

const callerAnswer = tolerant(callerSchema);

export interface LoginOptions {
  url?: string;
  json?: boolean;
}

/** Asks for a token (or reads it from standard input), tries it, and keeps it. */
export async function login(io: Io, options: LoginOptions): Promise<number> {
  const file = loginFile(io);
  if (file === null)
    throw new CliError("There is no home folder to keep a token in: set HOME or XDG_CONFIG_HOME.", EXIT_USAGE);
  const url = (options.url ?? io.env[URL_VARIABLE] ?? (await io.ask?.("Address of the Andon server: ")) ?? "").trim();
  const token = (await secretOf(io)).trim();
  if (token === "") throw new CliError("No token was given. Create one on the board's Tokens page.", EXIT_USAGE);
  const api = createApiClient({ ...io, env: { [URL_VARIABLE]: url, [TOKEN_VARIABLE]: token } });
  const caller = await api.call("/token", callerAnswer);
  keepLogin(file, { url, token });
  const what = caller.role === null ? `kind ${caller.kind}` : `role ${caller.role}`;
  const where = caller.environments === null ? "all environments" : caller.environments.join(", ");
  const lines = [
    `Signed in to ${url} as "${caller.name}" (${what}, ${where}). Kept in ${file}; andon logout removes it.`,
  ];
  for (const line of options.json === true ? jsonLines({ url, file, ...caller }) : lines) io.out(line);
  return EXIT_OK;
}

/** Forgets what `login` has kept. The token itself stays good until it is revoked. */
export function logout(io: Io): number {
  const file = loginFile(io);
  if (file !== null) forgetLogin(file);
  io.out("Nothing is kept any more. The token stays good until somebody revokes it.");
  return EXIT_OK;
}

async function secretOf(io: Io): Promise<string> {
  if (io.askHidden !== undefined) return (await io.askHidden("Token (op or kill; it is not shown): ")) ?? "";
  if (io.stdin === undefined) throw new CliError("Give the token on standard input.", EXIT_USAGE);
  return io.stdin();
}
