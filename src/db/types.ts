/** One type for both databases: postgres.js and PGlite answer the same query builder. */
import type { PgDatabase, PgQueryResultHKT } from "drizzle-orm/pg-core";
import type * as schema from "./schema/state.ts";

/** A connection or an open transaction. Raw `execute` differs between the two drivers: see `returnedRows`. */
export type Db = PgDatabase<PgQueryResultHKT, typeof schema>;

export type EnvironmentRow = typeof schema.environments.$inferSelect;
export type FlagRow = typeof schema.flags.$inferSelect;
export type ChainRow = typeof schema.chains.$inferSelect;
export type ModelBlockRow = typeof schema.modelBlocks.$inferSelect;
export type ModelBreakerRow = typeof schema.modelBreakers.$inferSelect;
export type TokenRow = typeof schema.tokens.$inferSelect;
export type AuditRow = typeof schema.audit.$inferSelect;
