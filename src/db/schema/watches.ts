/** When the watches of an environment tell of unusual spending and failing calls. */
import { boolean, doublePrecision, pgTable, primaryKey, text } from "drizzle-orm/pg-core";
import type { WatchKind } from "../../domain/watch.ts";
import { moment } from "./columns.ts";
import { environmentId } from "./state.ts";

/** When a watch tells of a flag; one without a row is as the environment's, whose row has `flag` "", or as by default. */
export const watchSettings = pgTable(
  "watch_settings",
  {
    environmentId: environmentId(),
    kind: text("kind").$type<WatchKind>().notNull(),
    /** No foreign key: the environment's own setting names none. */
    flag: text("flag").notNull(),
    enabled: boolean("enabled").notNull(),
    limit: doublePrecision("limit_value").notNull(),
    minimum: doublePrecision("minimum").notNull(),
    changedBy: text("changed_by").notNull(),
    changedAt: moment("changed_at").notNull(),
  },
  (t) => [primaryKey({ columns: [t.environmentId, t.kind, t.flag] })],
);
