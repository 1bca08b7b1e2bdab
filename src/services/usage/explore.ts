/**
 * What was used in a window, for the page Usage: over time, and by whatever it is asked by. Invariant: the parts of each sum add up to the ledger's, to the nano-USD; what nobody can be told of is "the rest".
 */
import { requireEnvironment } from "../../authorize.ts";
import type { Ctx } from "../../deps.ts";
import { read } from "../../transaction.ts";
import type { UsageRow } from "../../api/usage.ts";
import type { UsageBucket } from "../../domain/usage-query.ts";
import type { TopBy } from "../../domain/name-sums.ts";
import { piecesFor } from "../../domain/rollups.ts";
import { spellingsOf } from "../models/spellings.ts";
import { rolledSpan } from "./rollups.ts";
import { countedSpan, leftOut, type NameSums, topNames, topSpan } from "./top-names.ts";
import { getUsage } from "./view.ts";

export type ExploreBy = "flag" | "model" | TopBy;

export interface Explored {
  /** The ledger's sums of each bucket with calls, oldest first. `topNanoUsd`: of the part that cost most. */
  buckets: { atMs: number; costNanoUsd: bigint; topNanoUsd: bigint }[];
  /** The ledger's sum of the window. */
  total: NameSums;
  /** Those that cost most first. */
  parts: NameSums[];
  /** What of the total is in no part; null where the parts are the ledger's. */
  rest: NameSums | null;
  /** No part used more than it is told and this, nano-USD; null where the parts are the ledger's. */
  leftOutNanoUsd: bigint | null;
  /** Of an empty window: why, where it is asked about a flag or a model that nothing knows. */
  unknown: readonly string[];
}

export interface Wanted {
  from: Date;
  to: Date;
  bucket: UsageBucket;
  timezone: string;
  by: ExploreBy;
  flag?: string | undefined;
  model?: string | undefined;
}

export async function explore(ctx: Ctx, environmentKey: string, wanted: Wanted): Promise<Explored> {
  const { bucket, timezone, by, flag, model } = wanted;
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const nowMs = ctx.deps.clock.nowMs();
  const counted = countedSpan({ fromMs: wanted.from.getTime(), untilMs: wanted.to.getTime() }, nowMs);
  const [from, to] = [new Date(counted.fromMs), new Date(counted.untilMs)];
  const span = { from, to, ...(flag !== undefined && { flag }), ...(model !== undefined && { model }) };
  const ask = async (more: object) => (await getUsage(ctx, environmentKey, { ...span, ...more })).items;
  const isOfLedger = by === "flag" || by === "model";
  // Before the ledger, which has all of them and only grows: the rest is never negative.
  const top1000 = isOfLedger ? null : await names(by);
  const [over, models, ofLedger] = await Promise.all([
    ask({ bucket, timezone }),
    ask({ groupBy: ["model"] }),
    isOfLedger ? ask({ groupBy: [by] }) : [],
  ]);
  const named = isOfLedger ? ofLedger.map((row) => sumsOf(row, row[by] ?? "")) : (top1000?.sums ?? []);
  const total = models.map((row) => sumsOf(row, "")).reduce(plus, nothing(""));
  const parts = named.toSorted((a, b) =>
    a.costNanoUsd === b.costNanoUsd ? 0 : a.costNanoUsd < b.costNanoUsd ? 1 : -1,
  );
  const [top] = parts;
  const ofTop = new Map<number, bigint>();
  if (isOfLedger && top !== undefined && parts.length > 1) {
    for (const row of await ask({ bucket, timezone, groupBy: [by], [by]: top.name })) {
      if (row[by] === top.name) ofTop.set(Date.parse(row.at ?? ""), BigInt(row.costNanoUsd));
    }
  }
  const rest = isOfLedger ? null : parts.reduce(minus, { ...total, name: "" });
  return {
    buckets: over.map((row) => {
      const atMs = Date.parse(row.at ?? "");
      return { atMs, costNanoUsd: BigInt(row.costNanoUsd), topNanoUsd: ofTop.get(atMs) ?? 0n };
    }),
    total,
    parts,
    rest,
    leftOutNanoUsd:
      top1000 === null || rest === null ? null : least(rest.costNanoUsd, await top1000.leftOut(total.costNanoUsd)),
    unknown:
      total.attempts > 0 ? [] : (await getUsage(ctx, environmentKey, span)).unknown.map(({ message }) => message),
  };

  async function names(of: TopBy) {
    return read(ctx, async (db) => {
      const rolled = await rolledSpan(db, environment.id);
      const spellings = model === undefined ? undefined : await spellingsOf(db, environment, model, counted);
      const where = topSpan(counted, nowMs, (whole) => piecesFor(null, timezone, whole, rolled));
      const rows = await topNames(db, environment.id, of, { span: where, flag, models: spellings });
      return {
        // Calls that name none are not known by this.
        sums: rows.filter(({ name }) => name !== ""),
        // Of one flag or model it is not known what was left out: nobody has more of it than the rest.
        leftOut: (totalNanoUsd: bigint) =>
          flag === undefined && model === undefined
            ? read(ctx, (own) => leftOut(own, environment.id, of, { span: where, totalNanoUsd }))
            : totalNanoUsd,
      };
    });
  }
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function sumsOf(row: UsageRow, name: string): NameSums {
  const { calls, attempts, errors, promptTokens, outputTokens, costNanoUsd } = row;
  return {
    name,
    calls,
    attempts,
    errors,
    promptTokens: BigInt(promptTokens),
    outputTokens: BigInt(outputTokens),
    costNanoUsd: BigInt(costNanoUsd),
  };
}

function nothing(name: string): NameSums {
  return { name, calls: 0, attempts: 0, errors: 0, promptTokens: 0n, outputTokens: 0n, costNanoUsd: 0n };
}

function plus(a: NameSums, b: NameSums): NameSums {
  return {
    name: a.name,
    calls: a.calls + b.calls,
    attempts: a.attempts + b.attempts,
    errors: a.errors + b.errors,
    promptTokens: a.promptTokens + b.promptTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    costNanoUsd: a.costNanoUsd + b.costNanoUsd,
  };
}

function minus(a: NameSums, b: NameSums): NameSums {
  return plus(a, {
    name: b.name,
    calls: -b.calls,
    attempts: -b.attempts,
    errors: -b.errors,
    promptTokens: -b.promptTokens,
    outputTokens: -b.outputTokens,
    costNanoUsd: -b.costNanoUsd,
  });
}
