/**
 * The board of one environment, kept for all who look: read once, rendered once a role, sent to all as the parts that
 * changed. While a board is open it follows the environment; while none is, it does nothing. Clients' polls come first:
 * boards are told afterwards, a few in a turn of the event loop.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Deps, Ctx } from "../../deps.ts";
import { requireEnvironmentId } from "../../authorize.ts";
import { type Role, systemActor } from "../../domain/actor.ts";
import { AppError } from "../../errors.ts";
import { Coalesced } from "../../services/shared/coalesce.ts";
import type { PollConnection } from "../../services/snapshots/poll-connection.ts";
import { boardParts, type RowMemory } from "./board-parts.tsx";
import { type Board, type BoardMemory, type LastKnownBoard, loadBoard } from "./state.ts";
import { encode, type Encoded, type Encoding } from "../shell/compress.ts";
import { PartVersions } from "./parts.ts";
import { toHtml } from "../shell/render.tsx";

/** How long a board waits for a change. Shorter than what the page takes for a lost connection. */
const PARK_MS = 5_000;
/** How often the board is read again without a change of revision: while receipts are missing, and else. */
const COUNTING_MS = 250;
const SETTLED_MS = 1_000;
/** Figures move together: a change of all of them is one small answer. */
const FIGURES_MS = 5_000;
const CHARTS_MS = 60_000;
/** What nobody has looked at for so long is forgotten. */
const KEPT_MS = 60_000;
/** Above it a board is answered at once and asks again after its own pause. */
const OPEN_BOARDS_MAX = 10_000;
/** Boards told in one turn of the event loop. */
const TOLD_PER_TURN = 2;

/** What a visitor of a role is shown, and how it came to be. */
interface Edition {
  /** No other edition has it, of whichever server. */
  name: string;
  board: Board | LastKnownBoard;
  versions: PartVersions;
  rows: RowMemory;
  /** With the version of now, by what they follow on and the encoding: one for all who show the same. */
  answers: Map<string, Promise<Answer>>;
  askedAtMs: number;
}

/** The parts that changed, and where to ask for the next ones. */
export interface Answer {
  board: Board | LastKnownBoard;
  html: string;
  encoded: Encoded;
}

/** What a board asks for. */
export interface Asking {
  role: Role;
  /** The version that it shows. */
  after: string;
  encoding: Encoding;
}

interface Waiter extends Asking {
  resolve(answer: Answer | null): void;
  reject(error: unknown): void;
}

const feeds = new WeakMap<Deps, Map<string, BoardFeed>>();

/** The feed of an environment. FORBIDDEN and NOT_FOUND as everywhere; mostly answered from memory. */
export async function feedOf(ctx: Ctx, environmentKey: string): Promise<BoardFeed> {
  const environmentId = await requireEnvironmentId(ctx, environmentKey, "viewer");
  const ofDeps = feeds.get(ctx.deps) ?? new Map<string, BoardFeed>();
  feeds.set(ctx.deps, ofDeps);
  const feed = ofDeps.get(environmentId) ?? new BoardFeed(ctx.deps, environmentId, environmentKey);
  ofDeps.set(environmentId, feed);
  return feed;
}

export class BoardFeed {
  readonly #deps: Deps;
  readonly #environmentId: string;
  readonly #key: string;
  readonly #editions = new Map<Role, Edition>();
  readonly #asked = new Set<Role>();
  readonly #waiters = new Set<Waiter>();
  readonly #memory: BoardMemory = { state: null, money: null };
  readonly #read = new Coalesced(() => this.#readOnce());
  #isFollowing = false;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #figuresAtMs = Number.NEGATIVE_INFINITY;
  #chartsAtMs = Number.NEGATIVE_INFINITY;

  constructor(deps: Deps, environmentId: string, key: string) {
    this.#deps = deps;
    this.#environmentId = environmentId;
    this.#key = key;
  }

  /** The whole board as HTML, read after this call. */
  async page(role: Role): Promise<Pick<Answer, "board" | "html">> {
    const edition = await this.#fresh(role);
    return { board: edition.board, html: this.#cursor(edition) + edition.versions.whole() };
  }

  /** What changed since `after`, read after this call: the answer to a press. */
  async sincePress(role: Role, after: string): Promise<Pick<Answer, "board" | "html">> {
    const edition = await this.#fresh(role);
    return { board: edition.board, html: this.#since(edition, after) };
  }

  /** What there is newer than `after`; waits for it, and is null when nothing came in time. */
  async next(asking: Asking, connection: PollConnection): Promise<Answer | null> {
    const { role, after, encoding } = asking;
    const isRecent = this.#isFollowing || this.#deps.clock.monotonicMs() - this.#readAtMs < SETTLED_MS;
    const known = this.#editions.get(role);
    const isShown = known !== undefined && numberOf(known, after) === known.versions.version;
    if (isShown) return this.#wait(asking, connection);
    return this.#answer(known !== undefined && isRecent ? known : await this.#fresh(role), after, encoding);
  }

  /** Where the page asks for what comes after this version. */
  #cursor({ name, versions }: Edition): string {
    return toHtml(<div id="live-at" hidden hx-get={`/e/${this.#key}/live?after=${name}.${versions.version}`}></div>);
  }

  #since(edition: Edition, after: string): string {
    return this.#cursor(edition) + edition.versions.since(numberOf(edition, after));
  }

  #answer(edition: Edition, after: string, encoding: Encoding): Promise<Answer> {
    const { board, answers } = edition;
    const which = `${numberOf(edition, after)} ${encoding}`;
    const known = answers.get(which);
    if (known !== undefined) return known;
    const html = this.#since(edition, after);
    const made = encode(html, encoding).then((encoded) => ({ board, html, encoded }));
    answers.set(which, made);
    return made;
  }

  async #fresh(role: Role): Promise<Edition> {
    this.#asked.add(role);
    await this.#read.run();
    const edition = this.#editions.get(role);
    if (edition === undefined) throw new AppError("INTERNAL", "A board was read for nobody.");
    return edition;
  }

  /** Null when the time is up, or the visitor or the server leaves. */
  #wait(asking: Asking, connection: PollConnection): Promise<Answer | null> {
    const { snapshots, clock } = this.#deps;
    connection.leave?.(false);
    if (connection.gone || !snapshots.parks || this.#waiters.size >= OPEN_BOARDS_MAX) return Promise.resolve(null);
    return new Promise((resolve, reject) => {
      const leave = () => waiter.resolve(null);
      const timer = clock.schedule(PARK_MS, leave);
      const end = (then: () => void) => {
        if (!this.#waiters.delete(waiter)) return;
        timer.cancel();
        if (connection.leave === leave) connection.leave = null;
        then();
      };
      const waiter: Waiter = {
        ...asking,
        resolve: (answer) => end(() => resolve(answer)),
        reject: (error) => end(() => reject(error)),
      };
      connection.leave = leave;
      this.#waiters.add(waiter);
      if (!this.#isFollowing) void this.#follow();
    });
  }

  /** Reads again and again while somebody waits. */
  async #follow(): Promise<void> {
    this.#isFollowing = true;
    const { snapshots } = this.#deps;
    try {
      while (this.#waiters.size > 0 && snapshots.parks) {
        const revision = snapshots.current(this.#environmentId)?.revision;
        await this.#read.run();
        await this.#pause(revision);
      }
      for (const waiter of this.#waiters) waiter.resolve(null);
    } catch (error) {
      for (const waiter of this.#waiters) waiter.reject(error);
    } finally {
      this.#isFollowing = false;
    }
  }

  /** Until the environment has another revision than `revision`, or it is time to look again. */
  async #pause(revision: string | undefined): Promise<void> {
    const { snapshots, clock } = this.#deps;
    const timeoutMs = [...this.#editions.values()].some(({ board }) => isCounting(board)) ? COUNTING_MS : SETTLED_MS;
    await new Promise<void>((resolve) => {
      if (revision === undefined) clock.schedule(timeoutMs, resolve);
      else {
        const connection = { gone: false, leave: null };
        snapshots.whenChanged(this.#environmentId, revision, { timeoutMs, connection }, () => resolve());
      }
    });
    // The polls that were let go with this one are written first.
    await nextTurn();
  }

  async #readOnce(): Promise<void> {
    const { clock, config } = this.#deps;
    const nowMs = clock.monotonicMs();
    const roles = new Set([...this.#asked, ...[...this.#waiters].map(({ role }) => role)]);
    this.#asked.clear();
    const due = this.#due(nowMs);
    const reader: Ctx = { actor: systemActor("board", "board"), requestId: "board", deps: this.#deps };
    const board = await loadBoard(reader, this.#key, { memory: this.#memory, figures: due.figures });
    for (const role of roles) {
      const before = this.#editions.get(role);
      const rows: RowMemory = before?.rows ?? new Map();
      const parts = await boardParts(board, { role, publicUrl: config.publicUrl, rows });
      const versions = before?.versions ?? new PartVersions();
      const changed = versions.take(parts, due);
      const edition: Edition = {
        name: before?.name ?? this.#deps.newId(),
        board,
        versions,
        rows,
        answers: changed || before === undefined ? new Map<string, Promise<Answer>>() : before.answers,
        askedAtMs: nowMs,
      };
      this.#editions.set(role, edition);
      if (changed) void this.#tell(role, edition);
    }
    this.#readAtMs = nowMs;
    for (const [role, { askedAtMs }] of this.#editions) if (nowMs - askedAtMs > KEPT_MS) this.#editions.delete(role);
  }

  /** Whoever opens the page alone sees every figure as it is. */
  #due(nowMs: number): { figures: boolean; chart: boolean } {
    const isAlone = this.#waiters.size === 0;
    const figures = isAlone || nowMs - this.#figuresAtMs >= FIGURES_MS;
    const chart = isAlone || (figures && nowMs - this.#chartsAtMs >= CHARTS_MS);
    if (figures) this.#figuresAtMs = nowMs;
    if (chart) this.#chartsAtMs = nowMs;
    return { figures, chart };
  }

  /** Never rejects: what goes wrong is told to the one who waits. */
  async #tell(role: Role, edition: Edition): Promise<void> {
    let told = 0;
    for (const waiter of [...this.#waiters].filter((one) => one.role === role)) {
      try {
        waiter.resolve(await this.#answer(edition, waiter.after, waiter.encoding));
      } catch (error) {
        waiter.reject(error);
      }
      told += 1;
      if (told % TOLD_PER_TURN === 0) await nextTurn();
    }
  }
}

/** 0 for what this edition has not said. */
function numberOf({ name }: Edition, after: string): number {
  const dot = after.lastIndexOf(".");
  const number = after.slice(dot + 1);
  return after.slice(0, dot) === name && /^\d{1,15}$/.test(number) ? Number(number) : 0;
}

function isCounting(board: Board | LastKnownBoard): boolean {
  if (board.kind === "last known") return false;
  return [board.masterLast, ...board.rows.map((row) => row.last)].some((last) => (last?.proof.behind.count ?? 0) > 0);
}
