/** A database for one test file: a copy of the migrated template on the shared PostgreSQL, or PGlite in memory. */
import { randomUUID } from "node:crypto";
import postgres from "postgres";
import { inject } from "vitest";
import type { DatabaseConfig } from "../../src/config.ts";

export type DatabaseKind = "postgres" | "memory";

/** The configuration of a fresh, migrated (PostgreSQL) or empty (memory) database. */
export async function freshDatabase(kind: DatabaseKind): Promise<DatabaseConfig> {
  return kind === "memory" ? { kind: "memory" } : { kind: "postgres", url: await freshPostgres() };
}

/** The URL of a copy of the template. */
export function freshPostgres(): Promise<string> {
  return createDatabase(inject("postgresTemplate"));
}

/** The URL of a database that nothing has been migrated in. */
export function emptyPostgres(): Promise<string> {
  return createDatabase("template1");
}

async function createDatabase(template: string): Promise<string> {
  const admin = inject("postgresAdminUrl");
  const name = `test_${randomUUID().replaceAll("-", "")}`;
  const client = postgres(admin, { max: 1, onnotice: () => undefined });
  try {
    await client.unsafe(`create database ${name} template ${template}`);
  } finally {
    await client.end();
  }
  const url = new URL(admin);
  url.pathname = `/${name}`;
  return url.href;
}

/** What a server's process is told to be on this database: the embedded one, or a fresh copy on PostgreSQL. */
export async function databaseEnv(kind: "embedded" | "postgres"): Promise<Record<string, string>> {
  if (kind === "embedded") return {};
  return { DATABASE_URL: await freshPostgres(), ANDON_SECRET: "a secret for tests only, not for anything else" };
}
