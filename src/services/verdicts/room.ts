/**
 * Which windows have room for another user or session. Rows are counted only near the bound: until then it is enough to
 * know how many can have been added since.
 */
import { and, eq } from "drizzle-orm";
import { subjectWindows } from "../../db/schema/budgets.ts";
import type { Db } from "../../db/types.ts";
import { MAX_SUBJECTS_PER_WINDOW } from "../../domain/subject.ts";

/** A window that was full is not counted again for so many more. */
const RECOUNT_AFTER = 100_000;
/** Windows remembered; of more, all are counted anew. */
const MAX_WINDOWS = 2_000;

interface Counted {
  rows: number;
  /** At most so many more since. */
  added: number;
}

export class SubjectRoom {
  readonly #max: number;
  readonly #windows = new Map<string, Counted>();

  constructor(max = MAX_SUBJECTS_PER_WINDOW) {
    this.#max = max;
  }

  /** Those of the windows of these sums that have none, as `<budget> <start>`. Within the transaction that adds them. */
  async full(tx: Db, sums: readonly { budgetId: string; startsAt: string }[]): Promise<ReadonlySet<string>> {
    const adding = new Map<string, number>();
    for (const { budgetId, startsAt } of sums) {
      const key = `${budgetId} ${startsAt}`;
      adding.set(key, (adding.get(key) ?? 0) + 1);
    }
    const full = new Set<string>();
    for (const [key, count] of adding) {
      const window = await this.#counted(tx, key, count);
      window.added += count;
      if (window.rows >= this.#max) full.add(key);
    }
    return full;
  }

  async #counted(tx: Db, key: string, adding: number): Promise<Counted> {
    const known = this.#windows.get(key);
    const isNear = known !== undefined && known.rows + known.added + adding >= this.#max;
    const isFull = known !== undefined && known.rows >= this.#max && known.added < RECOUNT_AFTER;
    if (known !== undefined && (!isNear || isFull)) return known;
    const [budgetId = "", startsAt = ""] = key.split(" ");
    const rows = await tx.$count(
      subjectWindows,
      and(eq(subjectWindows.budgetId, budgetId), eq(subjectWindows.startsAt, new Date(startsAt))),
    );
    const counted = { rows, added: 0 };
    if (this.#windows.size >= MAX_WINDOWS) this.#windows.clear();
    this.#windows.set(key, counted);
    return counted;
  }
}
