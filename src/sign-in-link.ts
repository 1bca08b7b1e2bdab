/**
 * A fresh admin sign-in link, made directly in the database: for whoever runs the server and can no longer sign in.
 * Needs the server's own configuration, and no token.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pino } from "pino";
import { systemClock } from "./clock.ts";
import { ConfigError, type Settings } from "./config.ts";
import { connect } from "./db/connect.ts";
import { FIRST_ADMIN_ID } from "./services/access/first-run.ts";
import { newSecret } from "./random.ts";
import { createSignInLink } from "./services/access/sign-in.ts";
import { DatabaseTokenStore } from "./services/access/token-store.ts";
import { CliError, EXIT_OK, EXIT_USAGE, type Io } from "./cli/io.ts";

/** Prints the link. CliError when the database cannot be opened or has no admin to sign in. */
export async function printSignInLink(io: Io, readSettings: () => Settings): Promise<number> {
  const settings = settingsOf(readSettings);
  const database = await open(settings);
  try {
    const deps = {
      db: database.lanes.changes,
      clock: systemClock,
      newSecret,
    };
    await requireAdmin(deps);
    const { secret, expiresAt } = await createSignInLink(deps, FIRST_ADMIN_ID);
    io.out(`${settings.publicUrl}/sign-in?link=${secret}`);
    io.err(`Works once, until ${expiresAt.toISOString()}.`);
    for (const warning of settings.warnings) io.err(`Warning: ${warning}`);
    return EXIT_OK;
  } finally {
    await database.close();
  }
}

function settingsOf(readSettings: () => Settings): Settings {
  try {
    return readSettings();
  } catch (error) {
    if (error instanceof ConfigError) throw new CliError(error.message, EXIT_USAGE);
    throw error;
  }
}

async function open(settings: Settings) {
  // Opening an embedded database that is not there would make one.
  if (settings.database.kind === "embedded" && !existsSync(join(settings.database.dataDir, "db"))) {
    throw new CliError(
      `There is no database in ${settings.database.dataDir}. Run this where the server runs, with its ANDON_DATA_DIR.`,
    );
  }
  try {
    return await connect(settings.database, pino({ level: "silent" }));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    // The embedded database belongs to one process: the server itself prints a link while nobody else can sign in.
    const advice =
      settings.database.kind === "embedded"
        ? " If it is the server that runs there: stop it, run this again, and start it; or use the link that it prints when it starts."
        : "";
    throw new CliError(`The database cannot be opened: ${why}${advice}`);
  }
}

async function requireAdmin(
  deps: Pick<ConstructorParameters<typeof DatabaseTokenStore>[0], "db" | "clock">,
): Promise<void> {
  const tokens = new DatabaseTokenStore(deps);
  try {
    await tokens.refresh();
  } catch (error) {
    // The first line says what; the rest is the query.
    const [what = ""] = (error instanceof Error ? rootOf(error).message : String(error)).split("\n");
    throw new CliError(`The database cannot be read (${what}). Start the server once: it creates the tables.`);
  }
  if (tokens.byId(FIRST_ADMIN_ID) !== null) return;
  throw new CliError(
    "There is no first admin to sign in: the server was never started on this database, or that identity was revoked. Start the server with ANDON_ADMIN_TOKEN set, and sign in with that token.",
  );
}

/** Drivers' errors are wrapped in one that quotes the query. */
function rootOf(error: Error): Error {
  return error.cause instanceof Error ? rootOf(error.cause) : error;
}
