/**
 * Reads Claude's reports, once for all servers: a poll is claimed by one `update` that moves the next one on, so that whoever
 * asks meanwhile finds nothing due, and a server that dies on the way holds it up for a while only.
 */
import { createHmac } from "node:crypto";
import { eq, lte, ne } from "drizzle-orm";
import { isDatabaseAway } from "../../database-away.ts";
import type { Deps, ProviderReports } from "../../deps.ts";
import { providerPolls } from "../../db/schema/reconciliation.ts";
import { RECONCILING } from "../../domain/actor.ts";
import { daysToRead, nextPollMs } from "../../domain/provider-report.ts";
import type { Span } from "../../domain/rollups.ts";
import { tellDrifts } from "./drifts.ts";
import { forgetReports, keepReports, readDays, type Reports } from "./store.ts";

export const POLL_ID = 1;
/** Longer than a poll can take. */
const CLAIM_MS = 15 * 60_000;

type PollDeps = Pick<Deps, "db" | "clock" | "config" | "log">;

export class ReportPolls {
  readonly #deps: Deps;
  readonly #random: () => number;
  readonly #stop = new AbortController();
  #busy: Promise<void> | null = null;

  constructor(deps: Deps, random: () => number) {
    this.#deps = deps;
    this.#random = random;
  }

  /** Begins a poll when one is due, and returns: the provider is not waited for. */
  async begin(): Promise<void> {
    const { reports } = this.#deps;
    if (reports === null || this.#busy !== null || this.#stop.signal.aborted) return;
    const claimed = await claim(this.#deps);
    if (claimed === null) return;
    this.#busy = this.#poll(reports, claimed)
      .catch((error: unknown) => this.#report(error))
      .finally(() => (this.#busy = null));
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await this.#busy;
  }

  /** Breaks off what is under way; the next server asks again. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#busy;
  }

  async #poll(reports: ProviderReports, { failures }: { failures: number }): Promise<void> {
    const { db, clock } = this.#deps;
    const nowMs = clock.nowMs();
    const span = daysToRead(await readDays(db, daysToRead(new Map(), nowMs).fromMs), nowMs);
    const asked = await this.#ask(reports, span);
    if (this.#stop.signal.aborted) return;
    const readAt = new Date(clock.nowMs());
    if (asked.type === "reports") {
      await db.transaction(async (tx) => {
        await keepReports(tx, span, asked.reports, readAt.getTime());
        const next = { failures: 0, error: null, errorAt: null, readAt };
        await this.#settle(tx, { ...next, nextAt: this.#in(nextPollMs(0, null, this.#random())) });
      });
      await this.#tell();
      return;
    }
    this.#deps.log.warn({ reason: asked.error }, "Claude's reports were not read");
    const nextMs = nextPollMs(failures + 1, asked.retryAfterMs, this.#random());
    await this.#settle(db, {
      failures: failures + 1,
      error: asked.error,
      errorAt: readAt,
      nextAt: this.#in(nextMs),
    });
  }

  async #tell(): Promise<void> {
    const deps = this.#deps;
    for (const { environmentId } of deps.snapshots.all()) {
      await tellDrifts({ actor: RECONCILING, requestId: deps.newId(), deps }, environmentId);
    }
  }

  async #ask(
    reports: ProviderReports,
    span: Span,
  ): Promise<{ type: "reports"; reports: Reports } | { type: "error"; error: string; retryAfterMs: number | null }> {
    const byKey = isByKey(this.#deps);
    const usage = await reports.usage(span, { byKey }, this.#stop.signal);
    const costs = usage.type === "rows" ? await reports.costs(span, this.#stop.signal) : usage;
    if (usage.type === "rows" && costs.type === "rows") {
      return { type: "reports", reports: { usage: usage.rows, costs: costs.rows } };
    }
    const failed = usage.type === "rows" ? costs : usage;
    if (failed.type === "rows") throw new Error("a report that was read is no failure");
    // What is refused is asked again all the same, seldom: it may have been mended there.
    return {
      type: "error",
      error: failed.error,
      retryAfterMs: failed.type === "retry" ? failed.retryAfterMs : REFUSED_MS,
    };
  }

  #in(delayMs: number): Date {
    return new Date(this.#deps.clock.nowMs() + delayMs);
  }

  async #settle(db: Deps["db"], set: Partial<typeof providerPolls.$inferInsert>): Promise<void> {
    await db.update(providerPolls).set(set).where(eq(providerPolls.id, POLL_ID));
  }

  #report(error: unknown): void {
    if (isDatabaseAway(error)) this.#deps.log.debug({ err: error }, "Claude's reports wait for the database");
    else this.#deps.log.error({ err: error }, "reading Claude's reports failed; it is tried again");
  }
}

const REFUSED_MS = 6 * 3_600_000;

/** Null when none is due or another server has it. A poll by other settings is due at once, and begins anew. */
async function claim({ db, clock, config }: PollDeps): Promise<{ failures: number } | null> {
  const settings = settingsOf({ config });
  const nowMs = clock.nowMs();
  const nextAt = new Date(nowMs + CLAIM_MS);
  const due = await db
    .update(providerPolls)
    .set({ nextAt })
    .where(lte(providerPolls.nextAt, new Date(nowMs)))
    .returning({ failures: providerPolls.failures, settings: providerPolls.settings });
  const [found] = due;
  if (found !== undefined && found.settings === settings) return { failures: found.failures };
  return db.transaction(async (tx) => {
    const [known] = await tx.select().from(providerPolls).where(eq(providerPolls.id, POLL_ID)).for("update");
    if (known?.settings === settings) return null;
    await forgetReports(tx);
    const fresh = { settings, nextAt, readAt: null, failures: 0, error: null, errorAt: null };
    const made = await tx
      .insert(providerPolls)
      .values({ id: POLL_ID, ...fresh })
      .onConflictDoUpdate({ target: providerPolls.id, set: fresh, setWhere: ne(providerPolls.settings, settings) })
      .returning({ id: providerPolls.id });
    return made.length === 0 ? null : { failures: 0 };
  });
}

/** Whether keys are told apart: only where an environment is known by one. */
function isByKey({ config }: Pick<Deps, "config">): boolean {
  return [...(config.reconciliation.workspaces?.values() ?? [])].flat().some((id) => id.startsWith("apikey_"));
}

/** The same for the same key, address and grouping, whatever server asks; says nothing of the key. */
export function settingsOf({ config }: Pick<Deps, "config">): string {
  const { adminKey, baseUrl } = config.reconciliation;
  const parts = JSON.stringify([adminKey, baseUrl, isByKey({ config })]);
  return createHmac("sha256", config.secret).update(`andon reports ${parts}`).digest("base64url");
}
