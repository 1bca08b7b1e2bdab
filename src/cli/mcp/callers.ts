/**
 * The two tokens of an assistant. It reads with one that can only read and acts with one that can only kill and downgrade:
 * a token that can do more is refused, because whoever talks the assistant into something could do that too.
 */
import { callerSchema } from "../../api/token.ts";
import { createApiClient } from "../api-client.ts";
import { CliError, EXIT_USAGE, type Io } from "../io.ts";
import { tolerant } from "../tolerant.ts";

export const READ_VARIABLE = "ANDON_OP_TOKEN";
export const KILL_VARIABLE = "ANDON_KILL_TOKEN";

const callerAnswer = tolerant(callerSchema);

export interface Callers {
  /** The outside world with the token that reads; CliError unless that is a viewer's. */
  reader(io: Io): Promise<Io>;
  /** The same with the token that kills; CliError unless it is of that kind. */
  killer(io: Io): Promise<Io>;
}

/** Asks the server once for each token, when it is first needed: a server that is away now may be back by then. */
export function createCallers(): Callers {
  const checked = new Set<string>();
  const check = async (
    io: Io,
    variable: string,
    isRight: (kind: string, role: string | null) => boolean,
    words: string,
  ) => {
    if (checked.has(variable)) return io;
    const { kind, role } = await createApiClient(io).call("/token", callerAnswer);
    if (!isRight(kind, role)) {
      const is = role === null ? `of kind ${kind}` : `an ${kind} token with role ${role}`;
      throw new CliError(`The token in ${variable} is ${is}. ${words} Nothing was done.`);
    }
    checked.add(variable);
    return io;
  };
  return {
    reader: (io) =>
      check(
        io,
        READ_VARIABLE,
        (kind, role) => kind === "op" && role === "viewer",
        "An assistant reads with one that can do nothing else: make an op token with role viewer.",
      ),
    killer: (io) =>
      check(
        withToken(io),
        KILL_VARIABLE,
        (kind) => kind === "kill",
        "An assistant acts with one that can only kill and downgrade: make a token of kind kill.",
      ),
  };
}

function withToken(io: Io): Io {
  const token = io.env[KILL_VARIABLE] ?? "";
  if (token === "") throw new CliError(`${KILL_VARIABLE} is not set: this assistant may only read.`, EXIT_USAGE);
  return { ...io, env: { ...io.env, [READ_VARIABLE]: token } };
}
