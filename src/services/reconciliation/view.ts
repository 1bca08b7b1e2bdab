/** The comparison of Claude's bill with the ledger as people and programs see it. */
import { eq } from "drizzle-orm";
import {
  DEFAULT_COMPARED_DAYS,
  type ReconciliationAnswer,
  type ReconciliationQuery,
} from "../../api/reconciliation.ts";
import { requireEnvironment } from "../../authorize.ts";
import { providerPolls } from "../../db/schema/reconciliation.ts";
import type { Ctx } from "../../deps.ts";
import { driftText } from "../../domain/drift-words.ts";
import { type ComparedDay, type Line, type Tokens } from "../../domain/reconciliation.ts";
import { DAY_MS, dayOf } from "../../domain/rollups.ts";
import { totalOf } from "../../domain/total.ts";
import { read } from "../../transaction.ts";
import { compareSpan, scopeOf } from "./compare.ts";
import { POLL_ID, settingsOf } from "./poll.ts";

export async function getReconciliation(
  ctx: Ctx,
  environmentKey: string,
  { days = DEFAULT_COMPARED_DAYS }: ReconciliationQuery = {},
): Promise<ReconciliationAnswer> {
  await requireEnvironment(ctx, environmentKey, "viewer");
  const { config, clock, snapshots } = ctx.deps;
  const { adminKey, percent, minUsd } = config.reconciliation;
  const scope = scopeOf(ctx, environmentKey);
  const isOne = snapshots.all().length === 1;
  const seesAll = ctx.actor.environmentIds === null || isOne;
  const isHidden = scope.kind === "whole" && !seesAll;
  const answer = {
    configured: adminKey !== null,
    scope: isHidden ? ("hidden" as const) : SCOPES[scope.kind],
    workspaces: scope.kind === "mapped" ? [...scope.places.own] : [],
    percent,
    minUsd,
    poll: adminKey === null ? null : await pollOf(ctx),
    days: [],
    unmappedNanoUsd: null,
  };
  if (adminKey === null || isHidden || scope.kind === "unmapped") return answer;
  const untilMs = dayOf(clock.nowMs());
  const compared = await compareSpan(ctx, environmentKey, scope, { fromMs: untilMs - days * DAY_MS, untilMs });
  const isWhole = scope.kind === "whole";
  return {
    ...answer,
    days: compared.days.map((day) => dayResource(day, isWhole)),
    unmappedNanoUsd: isWhole || !seesAll ? null : total(compared.unmappedNanoUsd),
  };
}

const SCOPES = { whole: "organisation", mapped: "workspaces", unmapped: "unmapped" } as const;

async function pollOf(ctx: Ctx): Promise<ReconciliationAnswer["poll"]> {
  const [row] = await read(ctx, (db) => db.select().from(providerPolls).where(eq(providerPolls.id, POLL_ID)));
  // What came of another key says nothing of this one.
  if (row === undefined || row.settings !== settingsOf(ctx.deps)) return null;
  return {
    readAt: row.readAt?.toISOString() ?? null,
    error: row.error,
    errorAt: row.errorAt?.toISOString() ?? null,
    nextAt: row.nextAt.toISOString(),
  };
}

function dayResource(day: ComparedDay, isWhole: boolean): ReconciliationAnswer["days"][number] {
  return {
    day: day.day,
    state: day.state,
    ...sumsOf(day),
    elsewhereNanoUsd: total(day.elsewhereNanoUsd),
    lines: day.lines.map((line) => ({
      kind: line.kind,
      name: line.name,
      ...sumsOf(line),
      priorityNanoUsd: total(line.priorityNanoUsd),
      listNanoUsd: line.listNanoUsd === null ? null : total(line.listNanoUsd),
      providerTokens: tokensOf(line.providerTokens),
      ledgerTokens: tokensOf(line.ledgerTokens),
      isOver: line.isOver,
      cause: line.cause,
      text: line.isOver ? driftText(line, { isWhole }) : null,
    })),
  };
}

type Sums = Pick<Line, "providerNanoUsd" | "ledgerNanoUsd" | "estimatedNanoUsd" | "differenceNanoUsd">;

function sumsOf({ providerNanoUsd, ledgerNanoUsd, estimatedNanoUsd, differenceNanoUsd }: Sums) {
  return {
    providerNanoUsd: total(providerNanoUsd),
    ledgerNanoUsd: total(ledgerNanoUsd),
    estimatedNanoUsd: total(estimatedNanoUsd),
    differenceNanoUsd: total(differenceNanoUsd),
  };
}

function tokensOf({ input, output, cacheWrite5m, cacheWrite1h, cacheRead }: Tokens) {
  return {
    input: total(input),
    output: total(output),
    cacheWrite5m: total(cacheWrite5m),
    cacheWrite1h: total(cacheWrite1h),
    cacheRead: total(cacheRead),
  };
}

const total = (value: bigint) => totalOf(String(value));
