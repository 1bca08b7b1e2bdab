/**
 * The ways to the database: reads for pages, reads for whoever is about to change something, and transactions. What its
 * driver throws becomes DATABASE_AWAY or OVERLOADED here and nowhere else.
 */
import { TransactionRollbackError } from "drizzle-orm";
import { databaseFault, databaseFaultOfRead } from "./database-away.ts";
import type { Db } from "./db/types.ts";
import type { Ctx } from "./deps.ts";
import type { Need } from "./domain/actor.ts";

/** Runs a query for a page or a report; a database that does not answer becomes DATABASE_AWAY. */
export async function read<T>(ctx: Ctx, query: (db: Db) => Promise<T>): Promise<T> {
  return readFor(ctx, "viewer", query);
}

/** The same for whoever is about to change something, which waits for no page. */
export async function readFor<T>({ deps }: Pick<Ctx, "deps">, need: Need, query: (db: Db) => Promise<T>): Promise<T> {
  try {
    return await query(need === "viewer" ? deps.reads : deps.db);
  } catch (error) {
    throw need === "viewer" ? databaseFaultOfRead(error) : databaseFault(error);
  }
}

/** All that `work` reads through its context is of one moment: figures of one page do not contradict each other. */
export async function oneReading<T>(ctx: Ctx, work: (own: Ctx) => Promise<T>): Promise<T> {
  return read(ctx, (db) =>
    db.transaction((tx) => work({ ...ctx, deps: { ...ctx.deps, reads: tx } }), {
      isolationLevel: "repeatable read",
      accessMode: "read only",
    }),
  );
}

/** Runs `work` in one transaction. Returns when it is committed; a lost connection becomes DATABASE_AWAY. */
export async function withTransaction<T>(ctx: Ctx, work: (tx: Db) => Promise<T>): Promise<T> {
  try {
    return await ctx.deps.db.transaction((tx) => work(tx));
  } catch (error) {
    throw databaseFault(error);
  }
}

/**
 * The same, but `work` may find that it must not be kept: its null rolls everything back, and is the answer. Drizzle
 * rolls back for an exception alone, which ends here.
 */
export async function tryTransaction<T>(ctx: Ctx, work: (tx: Db) => Promise<T | null>): Promise<T | null> {
  try {
    return await ctx.deps.db.transaction(async (tx) => (await work(tx)) ?? tx.rollback());
  } catch (error) {
    if (error instanceof TransactionRollbackError) return null;
    throw databaseFault(error);
  }
}
