/** Starts everything but HTTP in this process, on a database of its own unless it is given one. */
import { type Logger, pino } from "pino";
import type { Clock } from "../../src/clock.ts";
import type { Deps, Ctx } from "../../src/deps.ts";
import { boot, type Runtime } from "../../src/boot.ts";
import type { DatabaseConfig, Settings } from "../../src/config.ts";
import { systemActor } from "../../src/domain/actor.ts";
import { createToken, type NewToken } from "../../src/services/access/tokens.ts";
import { type DatabaseKind, freshDatabase } from "./database.ts";

/** Good for everything on every test server. */
export const ADMIN_TOKEN = "andon_op_for_tests_only_0123456789";

export interface ServerOptions {
  /** A kind for a fresh database (default: postgres), or an existing one to share. */
  database?: DatabaseKind | DatabaseConfig;
  clock?: Clock;
  settings?: Partial<Settings>;
  jobs?: boolean;
  log?: Logger;
}

/** Everything but HTTP. Close it. */
export async function startDeps(options: ServerOptions = {}): Promise<Runtime> {
  const database =
    typeof options.database === "object" ? options.database : await freshDatabase(options.database ?? "postgres");
  const settings: Settings = {
    host: "127.0.0.1",
    port: 0,
    publicUrl: "http://127.0.0.1:4280",
    database,
    secret: "a secret for tests only, not for anything else",
    adminToken: ADMIN_TOKEN,
    logLevel: "silent",
    recentCallsHours: 24,
    recentCallsMax: 10_000,
    warnings: [],
    ...options.settings,
  };
  return boot(settings, {
    log: options.log ?? pino({ level: process.env["TEST_LOG_LEVEL"] ?? "silent" }),
    jobs: options.jobs ?? false,
    ...(options.clock && { clock: options.clock }),
  });
}

/** A context with all rights, for driving services directly. */
export function adminCtx(deps: Deps): Ctx {
  return { actor: systemActor("test", "test"), requestId: deps.newId(), deps };
}

/** Makes a token and returns its secret. */
export async function makeToken(deps: Deps, input: Partial<NewToken> & Pick<NewToken, "kind">): Promise<string> {
  const made = await createToken(adminCtx(deps), {
    name: `test ${input.kind}`,
    environments: input.kind === "op" ? null : ["production"],
    expiresAt: null,
    ...input,
  });
  return made.secret;
}
