/**
 * Opens the database that the configuration names, and hides which one it is: PostgreSQL over postgres.js or PGlite in
 * this process. What is handed out answers within a deadline or fails as "away" (`away.ts`).
 */
import type { Logger } from "pino";
import type { DatabaseConfig } from "../config.ts";
import type { Database } from "./database.ts";
import { isEmbeddedMade, openEmbedded } from "./embedded.ts";
import { openPostgres } from "./postgres.ts";

/**
 * Opens the database. Throws with words for the operator when it cannot be used: another process holds the folder, or
 * the server's version is not supported.
 */
export async function connect(config: DatabaseConfig, log: Logger): Promise<Database> {
  switch (config.kind) {
    case "postgres":
      return openPostgres(config.url, log);
    case "embedded":
      return openEmbedded(config.dataDir, log);
    case "memory":
      return openEmbedded(null, log);
  }
}

/** What `connect` is about to do, for whoever waits. */
export function openingText(config: DatabaseConfig): string {
  if (config.kind === "postgres") return "Connecting to the database of DATABASE_URL";
  if (config.kind === "memory") return "Making a database in memory";
  return isEmbeddedMade(config.dataDir)
    ? `Opening the embedded database in ${config.dataDir}`
    : `Making the embedded database in ${config.dataDir}: some seconds, once`;
}
