/** Columns that many tables have. */
import { bigint, numeric, timestamp } from "drizzle-orm/pg-core";

export const moment = (name: string) => timestamp(name, { withTimezone: true, mode: "date", precision: 3 });

export const amount = (name: string) => bigint(name, { mode: "number" }).notNull().default(0);

/** A sum of money, nano-USD: no number of records can overflow it. */
export const money = (name: string) => numeric(name, { mode: "number" }).notNull().default(0);
