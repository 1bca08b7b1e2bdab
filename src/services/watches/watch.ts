/**
 * The job's turn: looks at the flags of an environment and opens, grows and ends what its watches find. What begins within
 * ten minutes of an incident of its kind joins it, and an incident has at most one alert in ten minutes: an outage of the
 * provider is one page, not one for each flag. Decided anew under the environment's lock, so that it happens once.
 */
import { and, asc, eq, isNotNull, isNull, sql } from "drizzle-orm";
import { type Change, change } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { incidents } from "../../db/schema/incidents.ts";
import { flags as flagTable } from "../../db/schema/state.ts";
import type { Db } from "../../db/types.ts";
import {
  type IncidentWatch,
  readWatch,
  type Reading,
  SAME_CAUSE_MS,
  type Sight,
  slowBucket,
  TELL_EVERY_MS,
  turnOf,
  WATCH_KINDS,
  type WatchedFlag,
  type WatchEvent,
  type WatchKind,
  type WatchSetting,
} from "../../domain/watch.ts";
import {
  beganText,
  type Behind,
  behindText,
  endedTitle,
  endText,
  groupEndText,
  groupTitle,
  type WatchEnd,
  type WatchFound,
  watchText,
  watchTitle,
} from "../../domain/watch-text.ts";
import { enqueue } from "../alerts/outbox.ts";
import { type Usuals, usualsNow } from "../usage/usual.ts";
import { type Found, readBegan, readBehind } from "./behind.ts";
import { readSettings, type Settings } from "./settings.ts";
import { readSights } from "./sights.ts";

type IncidentRow = typeof incidents.$inferSelect & { watch: IncidentWatch };

/** Looks at an environment and does what is due. Takes no lock when nothing is. */
export async function runWatches(ctx: Ctx, environmentId: string): Promise<void> {
  const { db, clock } = ctx.deps;
  const nowMs = clock.nowMs();
  const [settings, open, states] = await Promise.all([
    readSettings(db, environmentId),
    readOpen(db, environmentId),
    readStates(db, environmentId),
  ]);
  const watched = [...states].flatMap(([flag, isOff]) => {
    if (isOff || !WATCH_KINDS.some((kind) => settings.of(kind, flag).enabled)) return [];
    return [{ flag, slowBucket: slowBucket(settings.of("latency", flag).limit) }];
  });
  if (watched.length === 0 && open.length === 0) return;
  const usuals = await usualsNow(ctx, db, environmentId);
  const sights = await readSights(ctx, environmentId, { watched, usuals, nowMs });
  const seen: Seen = { nowMs, settings, usuals, sights };
  const turns = turnsOf(seen, open, states);
  if (turns.every(({ event }) => event === null) && open.every((row) => !isToTell(row.watch, nowMs))) {
    await keepFigures(db, open, turns);
    return;
  }
  const told = new Map<string, Told>();
  for (const turn of turns) {
    if (turn.event === "opens" || turn.event === "grows")
      told.set(nameOf(turn), await readTold(db, environmentId, turn, seen));
  }
  await change(ctx, environmentId, async (own) => {
    // Another server may have acted since, and a flag gone off.
    const rows = await readOpen(own.tx, environmentId);
    const now = turnsOf(seen, rows, await readStates(own.tx, environmentId));
    await act(ctx, own, { seen, rows, turns: now, told });
  });
}

interface Seen {
  nowMs: number;
  settings: Settings;
  usuals: Usuals;
  sights: ReadonlyMap<string, Sight>;
}

/** What one watch of one flag does now. */
interface Turn {
  kind: WatchKind;
  flag: string;
  setting: WatchSetting;
  reading: Reading | null;
  event: WatchEvent | null;
  /** Why it ends. */
  why: WatchEnd;
  /** As it is after this; of one that ends as it was. Null: it is not open. */
  after: WatchedFlag | null;
  /** The incident that it is in. */
  row: IncidentRow | null;
}

interface Told {
  sinceMs: number | null;
  behind: readonly Behind[];
}

const nameOf = ({ kind, flag }: Pick<Turn, "kind" | "flag">): string => `${kind} ${flag}`;

function turnsOf(
  { nowMs, settings, sights }: Seen,
  open: readonly IncidentRow[],
  states: ReadonlyMap<string, boolean>,
): Turn[] {
  const running = new Map<string, { row: IncidentRow; known: WatchedFlag }>();
  for (const row of open) {
    for (const known of row.watch.flags) {
      if (known.endedAtMs === null) running.set(nameOf({ kind: row.watch.kind, flag: known.flag }), { row, known });
    }
  }
  const flags = new Set([...sights.keys(), ...[...running.values()].map(({ known }) => known.flag)]);
  return [...flags].toSorted().flatMap((flag) =>
    WATCH_KINDS.flatMap((kind): Turn[] => {
      const { row = null, known = null } = running.get(nameOf({ kind, flag })) ?? {};
      const setting = settings.of(kind, flag);
      const isOff = states.get(flag);
      const why = isOff === undefined ? "gone" : isOff ? "off" : setting.enabled ? "calm" : "disabled";
      if (why !== "calm") {
        if (known === null) return [];
        return [{ kind, flag, setting, reading: null, event: "ends", why, after: known, row }];
      }
      const sight = sights.get(flag);
      const reading = sight === undefined ? null : readWatch(kind, setting, sight);
      const { open: next, event } = turnOf(known, reading, nowMs);
      if (event === null && known === null) return [];
      return [
        { kind, flag, setting, reading, event, why, after: flagAfter({ flag, setting, known, next, reading }), row },
      ];
    }),
  );
}

function flagAfter(of: {
  flag: string;
  setting: WatchSetting;
  known: WatchedFlag | null;
  next: ReturnType<typeof turnOf>["open"];
  reading: Reading | null;
}): WatchedFlag | null {
  const { flag, setting, known, next, reading } = of;
  if (next === null) return known;
  const figures =
    reading === null
      ? { value: 0, now: 0, against: known?.against ?? 0 }
      : { value: reading.value, now: reading.now, against: reading.against };
  return { limit: setting.limit, sinceMs: null, endedAtMs: null, ...known, ...next, flag, ...figures };
}

/** By flag, whether it is off. */
async function readStates(db: Db, environmentId: string): Promise<Map<string, boolean>> {
  const rows = await db
    .select({ flag: flagTable.key, standing: flagTable.standing })
    .from(flagTable)
    .where(eq(flagTable.environmentId, environmentId))
    .orderBy(asc(flagTable.key));
  return new Map(rows.map(({ flag, standing }) => [flag, standing === "off"]));
}

async function readOpen(db: Db, environmentId: string): Promise<IncidentRow[]> {
  const ofWatches = and(
    eq(incidents.environmentId, environmentId),
    isNull(incidents.resolvedAt),
    isNotNull(incidents.watch),
  );
  const rows = await db.select().from(incidents).where(ofWatches).orderBy(asc(incidents.openedAt), asc(incidents.id));
  return rows.flatMap(({ watch, ...row }) => (watch === null ? [] : [{ ...row, watch }]));
}

/** Only what is shown of those that go on: nobody is told, and nothing is lost when another server writes them as well. */
async function keepFigures(db: Db, open: readonly IncidentRow[], turns: readonly Turn[]): Promise<void> {
  for (const row of open) {
    const watch = { ...row.watch, flags: flagsAfter(row, turns) };
    const isAsRead = sql`${incidents.watch} = ${JSON.stringify(row.watch)}::jsonb`;
    await db
      .update(incidents)
      .set({ watch })
      .where(and(eq(incidents.id, row.id), isNull(incidents.resolvedAt), isAsRead));
  }
}

function flagsAfter(row: IncidentRow, turns: readonly Turn[]): WatchedFlag[] {
  return row.watch.flags.map((known) => {
    const turn = turns.find((one) => one.row?.id === row.id && one.flag === known.flag && known.endedAtMs === null);
    return turn?.after ?? known;
  });
}

/** What came within ten minutes of an alert is told when they are over. */
function isToTell({ untold, toldAtMs }: IncidentWatch, nowMs: number): boolean {
  return untold.length > 0 && nowMs - toldAtMs >= TELL_EVERY_MS;
}

async function readTold(db: Db, environmentId: string, turn: Turn, seen: Seen): Promise<Told> {
  const { kind, flag, setting, reading, after } = turn;
  if (reading === null) return { sinceMs: null, behind: [] };
  const found: Found = {
    kind,
    flag,
    setting,
    reading,
    nowMs: seen.nowMs,
    slowBucket: slowBucket(seen.settings.of("latency", flag).limit),
  };
  const behind = await readBehind(db, environmentId, found);
  return { sinceMs: after?.sinceMs ?? (await readBegan(db, environmentId, found)), behind };
}

interface Acting {
  seen: Seen;
  rows: readonly IncidentRow[];
  turns: readonly Turn[];
  told: ReadonlyMap<string, Told>;
}

type Step = IncidentRow["steps"][number];

/** One incident as this change leaves it. */
interface Draft {
  row: IncidentRow | null;
  id: string;
  cause: string;
  kind: WatchKind;
  flags: WatchedFlag[];
  steps: Step[];
  /** Flags of which something new is to be told, and its words. */
  news: { flag: string; text: string; title: string }[];
}

async function act(ctx: Ctx, open: Change, { seen, rows, turns, told }: Acting): Promise<void> {
  const at = new Date(seen.nowMs).toISOString();
  const drafts = rows.map((row): Draft => {
    const { id, cause, watch } = row;
    return { row, id, cause, kind: watch.kind, flags: flagsAfter(row, turns), steps: [...row.steps], news: [] };
  });
  for (const turn of turns) {
    const { kind, flag, event, after } = turn;
    if (event === null || after === null) continue;
    const draft =
      turn.row === null ? joined(ctx, drafts, kind, seen.nowMs) : drafts.find(({ id }) => id === turn.row?.id);
    if (draft === undefined) continue;
    if (event === "ends") {
      draft.flags = draft.flags.map((one) =>
        one.flag === flag && one.endedAtMs === null ? { ...one, endedAtMs: seen.nowMs } : one,
      );
      draft.steps.push({ at, atPercent: 0, action: "watch", text: endText(turn.why, flag) });
      continue;
    }
    const known = told.get(nameOf(turn)) ?? { sinceMs: null, behind: [] };
    const words = wordsOf(turn, seen, known);
    if (words === null) continue;
    if (event === "opens") draft.flags.push({ ...after, sinceMs: known.sinceMs });
    draft.steps.push({ at, atPercent: 0, action: "watch", text: words.text });
    draft.news.push({ flag, ...words });
  }
  for (const draft of drafts) await write(ctx, open, draft, { seen, told });
}

/** The incident of this kind that has just opened, else a new one. */
function joined(ctx: Ctx, drafts: Draft[], kind: WatchKind, nowMs: number): Draft {
  const same = drafts.find(({ row, ...draft }) => {
    if (draft.kind !== kind) return false;
    return (
      row === null ||
      (nowMs - row.openedAt.getTime() < SAME_CAUSE_MS && draft.flags.some(({ endedAtMs }) => endedAtMs === null))
    );
  });
  if (same !== undefined) return same;
  const id = ctx.deps.newId();
  const made: Draft = { row: null, id, cause: `watch:${kind}:${id}`, kind, flags: [], steps: [], news: [] };
  drafts.push(made);
  return made;
}

function wordsOf(
  turn: Turn,
  { usuals, nowMs }: Seen,
  { sinceMs, behind }: Told,
): { title: string; text: string } | null {
  const { kind, flag, setting, reading } = turn;
  if (reading === null) return null;
  const usual = kind === "burn" ? usuals.until(flag, nowMs) : null;
  const found: WatchFound = {
    kind,
    flag,
    setting,
    reading,
    usual: usual === null ? null : { usual, atMs: nowMs, zone: usuals.zone },
  };
  const text = `${watchText(found)}${beganText(sinceMs, usuals.zone)}${behindText(kind, behind)}`;
  return { title: watchTitle(found), text };
}

async function write(
  ctx: Ctx,
  open: Change,
  draft: Draft,
  { seen, told }: Pick<Acting, "seen" | "told">,
): Promise<void> {
  const { tx, environment, at } = open;
  const { row, id, cause, kind, flags, steps, news } = draft;
  const { nowMs } = seen;
  const isOver = flags.every(({ endedAtMs }) => endedAtMs !== null);
  const before = row?.watch ?? { toldAtMs: Number.NEGATIVE_INFINITY, untold: [] };
  const isRunning = (flag: string) => flags.some((one) => one.flag === flag && one.endedAtMs === null);
  // Of one flag the newest words are enough.
  const fresh = [...before.untold.filter(({ flag }) => news.every((one) => one.flag !== flag)), ...news];
  const untold = fresh.filter(({ flag }) => isRunning(flag)).map(({ flag, text }) => ({ flag, text }));
  const tells = untold.length > 0 && nowMs - before.toldAtMs >= TELL_EVERY_MS;
  const watch: IncidentWatch = {
    kind,
    flags,
    toldAtMs: tells ? nowMs : before.toldAtMs,
    untold: tells ? [] : untold,
  };
  const title = titleOf(draft, isOver);
  const set = { watch, title, steps, resolvedAt: isOver ? at : null };
  if (row === null) {
    await tx.insert(incidents).values({ id, environmentId: environment.id, cause, openedAt: at, ...set });
    await open.note({ action: "watch.opened", target: title, reason: steps.at(-1)?.text ?? null });
  } else {
    const anew = tells ? { acknowledgedAt: null, acknowledgedBy: null } : {};
    await tx
      .update(incidents)
      .set({ ...set, ...anew })
      .where(eq(incidents.id, id));
  }
  const alert = {
    environment: environment.key,
    incidentId: id,
    title,
    at: at.toISOString(),
    url: urlOf(ctx, environment.key, id),
  };
  if (tells) {
    const behind = (flag: string) => [...(told.get(nameOf({ kind, flag }))?.behind ?? [])];
    const about = flags.filter(({ flag, endedAtMs }) => endedAtMs === null && untold.some((one) => one.flag === flag));
    await enqueue(ctx, open, {
      incidentId: id,
      dedupKey: `${cause}:${steps.length}`,
      payload: {
        type: "incident.watch",
        ...alert,
        text: `${textOf(untold)} Nothing was switched.`,
        watch: {
          kind,
          flags: about.map(({ flag, sinceMs, value, against, limit }) => ({
            flag,
            since: sinceMs === null ? null : new Date(sinceMs).toISOString(),
            value,
            against,
            limit,
            behind: behind(flag),
          })),
        },
      },
    });
  }
  if (!isOver) return;
  const text = flags.length === 1 ? (steps.at(-1)?.text ?? "") : groupEndText(kind);
  await open.note({ action: "watch.ended", target: title, reason: text });
  const dedupKey = `${cause}:resolved:${steps.length}`;
  await enqueue(ctx, open, { incidentId: id, dedupKey, payload: { type: "incident.resolved", ...alert, text } });
}

/** More flags are named in an alert by their number alone. */
const MAX_SAID = 5;

function textOf(untold: IncidentWatch["untold"]): string {
  const more = untold.length - MAX_SAID;
  const said = untold.slice(0, MAX_SAID).map(({ text }) => text);
  return `${said.join(" ")}${more > 0 ? ` The same of ${more} more flags.` : ""}`;
}

/** In the present while it is so, in the past with the worst once it is over. */
function titleOf({ row, kind, flags, news }: Draft, isOver: boolean): string {
  const [first] = flags;
  if (first === undefined) return row?.title ?? "";
  if (flags.length > 1) return groupTitle(kind, new Set(flags.map(({ flag }) => flag)).size, isOver);
  if (isOver) return endedTitle({ kind, flag: first.flag, limit: first.limit }, first.worstValue);
  return news.at(-1)?.title ?? row?.title ?? "";
}

function urlOf(ctx: Ctx, environmentKey: string, id: string): string {
  return `${ctx.deps.config.publicUrl}/e/${environmentKey}/incidents#incident-${id}`;
}
