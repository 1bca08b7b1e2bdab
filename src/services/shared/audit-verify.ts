/** Whether the audit is as it was written: every row with its seal, none missing, none added. */
import { and, asc, eq, gt, isNull } from "drizzle-orm";
import { isSeal, type SealKey, sealKeyOf, sealTextOf } from "../../audit-seal.ts";
import { requireEnvironment, requireScope } from "../../authorize.ts";
import type { AuditFault, AuditSegment, AuditVerified } from "../../api/audit.ts";
import type { Ctx } from "../../deps.ts";
import { audit, environments, installation } from "../../db/schema/state.ts";
import type { AuditRow } from "../../db/types.ts";
import { AppError } from "../../errors.ts";
import { oneReading, read } from "../../transaction.ts";

/** How many rows are in memory at once. */
const ROWS_AT_ONCE = 500;

/** Checks all of an environment's audit, from its first row on, up to the first fault. */
export async function verifyAudit(ctx: Ctx, environmentKey: string): Promise<AuditVerified> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  return verify(ctx, environment.id);
}

/** The same of what belongs to no environment. For admins of all environments. */
export async function verifyInstallation(ctx: Ctx): Promise<AuditVerified> {
  requireScope(ctx.actor, "admin");
  if (ctx.actor.environmentIds !== null)
    throw new AppError("FORBIDDEN", "This needs an admin token that is good for all environments.");
  return verify(ctx, null);
}

function verify(ctx: Ctx, environmentId: string | null): Promise<AuditVerified> {
  return oneReading(ctx, async (own) => {
    const end = await endOf(own, environmentId);
    const walk = new Walk([sealKeyOf(ctx.deps.config.secret)]);
    for (let after: number | null = null; ;) {
      const rows: AuditRow[] = await rowsAfter(own, environmentId, after);
      for (const row of rows) if (!walk.take(row)) return walk.result();
      const last = rows.at(-1);
      if (last === undefined) break;
      after = last.id;
    }
    walk.endAt(end);
    return walk.result();
  });
}

function rowsAfter(ctx: Ctx, environmentId: string | null, after: number | null): Promise<AuditRow[]> {
  const ofChain = environmentId === null ? isNull(audit.environmentId) : eq(audit.environmentId, environmentId);
  return read(ctx, (db) =>
    db
      .select()
      .from(audit)
      .where(and(ofChain, after === null ? undefined : gt(audit.id, after)))
      .orderBy(asc(audit.id))
      .limit(ROWS_AT_ONCE),
  );
}

interface End {
  seq: number;
  seal: string;
}

async function endOf(ctx: Ctx, environmentId: string | null): Promise<End> {
  const table = environmentId === null ? installation : environments;
  const [end] = await read(ctx, (db) =>
    db
      .select({ seq: table.auditSeq, seal: table.auditSeal })
      .from(table)
      .where(environmentId === null ? eq(installation.id, 1) : eq(environments.id, environmentId)),
  );
  if (end === undefined) throw new AppError("NOT_FOUND", "The environment is gone.");
  return end;
}

/** One walk along a chain, from its first row on. */
class Walk {
  readonly #keys: readonly SealKey[];
  readonly #segments: AuditSegment[] = [];
  #fault: AuditFault | null = null;
  #rows = 0;
  #seq = 0;
  #seal = "";

  constructor(keys: readonly SealKey[]) {
    this.#keys = keys;
  }

  /** False at the first row that is not as it was written: nothing after it can be told. */
  take(row: AuditRow): boolean {
    this.#fault = this.#faultOf(row);
    if (this.#fault !== null) return false;
    this.#rows += 1;
    this.#count(row);
    if (row.seq !== null) [this.#seq, this.#seal] = [row.seq, row.seal ?? ""];
    return true;
  }

  /** Rows that were cut off at the end are known by what the chain says of its end. */
  endAt({ seq, seal }: End): void {
    if (this.#seq < seq) this.#fault = { id: null, seq: this.#seq + 1, kind: "missing", ...NOTHING };
    else if (this.#seq > seq || this.#seal !== seal)
      this.#fault = { id: null, seq: this.#seq, kind: "end", ...NOTHING };
  }

  result(): AuditVerified {
    const unchecked = this.#segments.some(({ state }) => state === "other-key");
    const intact = unchecked ? "partly" : "intact";
    return {
      result: this.#fault === null ? intact : "broken",
      rows: this.#rows,
      fault: this.#fault,
      segments: this.#segments,
      end: { seq: this.#seq, seal: this.#seal },
    };
  }

  #faultOf(row: AuditRow): AuditFault | null {
    const kind = this.#kindOfFault(row);
    if (kind === null) return null;
    const { id, at, action, targetKind, target } = row;
    const seq = kind === "missing" ? this.#seq + 1 : row.seq;
    return { id, seq, kind, at: at.toISOString(), action, target: { kind: targetKind, key: target } };
  }

  #kindOfFault(row: AuditRow): AuditFault["kind"] | null {
    const { seq, seal, sealText, sealKey } = row;
    if (seq === null || seal === null || sealText === null || sealKey === null) {
      // Rows from before there were seals come before all others.
      return this.#seq === 0 && seq === null && seal === null && sealText === null ? null : "unsealed";
    }
    if (seq > this.#seq + 1) return "missing";
    if (seq <= this.#seq) return "moved";
    if (sealTextOf(row) !== sealText) return "altered";
    const key = this.#keys.find(({ id }) => id === sealKey);
    return key === undefined || isSeal(key, this.#seal, sealText, seal) ? null : "altered";
  }

  #count(row: AuditRow): void {
    const last = this.#segments.at(-1);
    if (last !== undefined && last.key === row.sealKey) {
      last.toId = row.id;
      last.rows += 1;
      return;
    }
    const known = this.#keys.some(({ id }) => id === row.sealKey);
    const state = row.sealKey === null ? "unsealed" : known ? "sealed" : "other-key";
    this.#segments.push({ key: row.sealKey, state, fromId: row.id, toId: row.id, rows: 1 });
  }
}

const NOTHING = { at: null, action: null, target: null };
