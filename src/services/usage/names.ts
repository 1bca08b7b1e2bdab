/**
 * Which names of flags and models are kept apart in the ledger. Flags that exist or have a budget and models with a price, in a
 * chain or in a budget always are; of names that nobody has defined so many as there is room for, shared fairly by tokens, for a day.
 * What is beyond counts as `other`: no money is lost, only whose it was.
 */
import { sql } from "drizzle-orm";
import type { PriceTable } from "../../../sdk-client/src/pricing/price-table.ts";
import { findPriceRow } from "../../../sdk-client/src/pricing/price-table.ts";
import type { Snapshot } from "../../../sdk-client/src/wire/protocol.ts";
import { returnedRows } from "../../db/returned-rows.ts";
import type { Db } from "../../db/types.ts";
import type { Budget } from "../../domain/budget.ts";
import type { PricedRecord } from "../../domain/ledger.ts";
import { OTHER } from "../../domain/other.ts";

/** Undefined names in use at a time; one token alone gets half of them, the next half of the rest. */
const MAX_NAMES = { flag: 200, model: 50 } as const;
/** How long a name keeps its place. */
export const NAME_KEPT_MS = 24 * 3_600_000;
/** After a token found no room, its next names are not asked about for so long. */
const FULL_MS = 10_000;

type Kind = keyof typeof MAX_NAMES;

interface Known {
  nowMs: number;
  table: PriceTable;
  budgets: readonly Budget[];
  snapshot: Snapshot | undefined;
}

export class UsageNames {
  /** Until when a name has its place, Unix time in milliseconds. Bounded by the places there are. */
  readonly #placedUntilMs = new Map<string, number>();
  /** Until when a token's new names need not be asked about. */
  readonly #fullUntilMs = new Map<string, number>();

  /** The records under the names they are counted by. Within the ledger's transaction. */
  async fold(tx: Db, environmentId: string, records: PricedRecord[], known: Known): Promise<PricedRecord[]> {
    const isKnown = knownNames(known);
    const isUndefined = ({ record, priced }: PricedRecord, kind: Kind) =>
      kind === "flag" ? !isKnown.flag(record.flag) : !priced && !isKnown.model(record.model);
    const unknown = records.filter((one) => isUndefined(one, "flag") || isUndefined(one, "model"));
    if (unknown.length === 0) return records;
    this.#forget(known.nowMs);
    for (const kind of ["flag", "model"] as const) {
      const byToken = new Map<string, Set<string>>();
      for (const one of unknown) {
        const name = one.record[kind];
        if (!isUndefined(one, kind) || this.#isPlaced(kind, name)) continue;
        byToken.set(one.tokenId, (byToken.get(one.tokenId) ?? new Set()).add(name));
      }
      for (const [tokenId, names] of byToken)
        await this.#ask(tx, environmentId, { kind, tokenId, names, nowMs: known.nowMs });
    }
    const nameOf = (one: PricedRecord, kind: Kind) =>
      isUndefined(one, kind) && !this.#isPlaced(kind, one.record[kind]) ? OTHER : one.record[kind];
    return records.map((one) => {
      const flag = nameOf(one, "flag");
      const model = nameOf(one, "model");
      if (flag === one.record.flag && model === one.record.model) return one;
      return { ...one, record: { ...one.record, flag, model } };
    });
  }

  #isPlaced(kind: Kind, name: string): boolean {
    return this.#placedUntilMs.has(`${kind} ${name}`);
  }

  #forget(nowMs: number): void {
    for (const memory of [this.#placedUntilMs, this.#fullUntilMs]) {
      for (const [key, untilMs] of memory) if (untilMs <= nowMs) memory.delete(key);
    }
  }

  /** Gives names their places as far as there is room, and remembers all that have one, whichever server gave it. */
  async #ask(
    tx: Db,
    environmentId: string,
    { kind, tokenId, names, nowMs }: { kind: Kind; tokenId: string; names: ReadonlySet<string>; nowMs: number },
  ): Promise<void> {
    const full = `${kind} ${tokenId}`;
    if (this.#fullUntilMs.has(full)) return;
    const now = sql`${new Date(nowMs).toISOString()}::timestamptz`;
    const ofKind = sql`environment_id = ${environmentId} and kind = ${kind}
      and admitted_at > ${new Date(nowMs - NAME_KEPT_MS).toISOString()}::timestamptz`;
    const rows = await tx.execute(sql`
      with placed as (
        select name, token_id, admitted_at from usage_names where ${ofKind}
      ), wanted as (
        select name from jsonb_array_elements_text(cast(${JSON.stringify([...names].toSorted())} as text)::jsonb) as w(name)
        where name not in (select name from placed)
      ), added as (
        insert into usage_names as known (environment_id, kind, name, token_id, admitted_at)
        select ${environmentId}, ${kind}, name, ${tokenId}, ${now} from wanted order by name
        limit greatest(0, (select ${MAX_NAMES[kind]}::int - count(*) - count(*) filter (where token_id = ${tokenId}) from placed) / 2)
        on conflict (environment_id, kind, name) do update set token_id = excluded.token_id, admitted_at = excluded.admitted_at
        returning name, admitted_at
      )
      select name, floor(extract(epoch from admitted_at) * 1000)::float8 as at_ms
      from (select name, admitted_at from placed union all select name, admitted_at from added) as found`);
    for (const row of returnedRows(rows)) {
      this.#placedUntilMs.set(`${kind} ${String(row["name"])}`, Number(row["at_ms"]) + NAME_KEPT_MS);
    }
    const isFull = Array.from(names).some((name) => !this.#isPlaced(kind, name));
    if (isFull) this.#fullUntilMs.set(full, nowMs + FULL_MS);
  }
}

/** What is defined: it always has its own name. */
function knownNames({ nowMs, table, budgets, snapshot }: Known): Record<Kind, (name: string) => boolean> {
  const flags = snapshot?.flags ?? {};
  let models: Set<string> | null = null;
  const named = (): Set<string> =>
    new Set([
      ...Object.values(snapshot?.chains ?? {}).flatMap(({ steps }) => steps.map(({ model }) => model)),
      ...budgets.flatMap(({ scope }) => scope.model ?? []),
    ]);
  // A budget outlives its flag and goes on counting.
  const limited = new Set(budgets.flatMap(({ scope }) => scope.flag ?? []));
  return {
    flag: (name) => Object.hasOwn(flags, name) || limited.has(name),
    model: (name) => findPriceRow(table, name, nowMs) !== null || (models ??= named()).has(name),
  };
}
