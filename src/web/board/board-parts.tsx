/**
 * The board in parts, the same for every visitor of a role: the news, a line on what is wrong, one row a flag with its
 * figures apart, the budgets of all flags, the master switch. Rendered in slices, so that nothing waits for a page.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Child } from "hono/jsx";
import { type Actor, type Role, systemActor } from "../../domain/actor.ts";
import { someIn } from "../../domain/fleet.ts";
import { same } from "../../domain/same.ts";
import type { Board, FlagRow, LastKnownBoard } from "./state.ts";
import { Find } from "./find.tsx";
import { FirstSteps } from "./first-steps.tsx";
import { FlagCard } from "./flag-card.tsx";
import { FlagMoneyView, flagMoneyParts } from "./flag-money.tsx";
import { changingParts, concerns, IncidentNews } from "../incidents/news.tsx";
import { LastKnown } from "./last-known.tsx";
import { MasterBar, MasterMoney, MasterNews } from "./master-bar.tsx";
import { Now, Unpriced } from "./now.tsx";
import { mayAdminister, mayOperate } from "../shell/page-context.ts";
import { type Part, Place } from "./parts.ts";
import { toHtml } from "../shell/render.tsx";
import { SharedBudgets } from "./shared-budgets.tsx";
import { UnknownBurn, UnknownFlagsLine } from "./unknown-flags-line.tsx";
import { lightOf } from "../text/text.ts";

export interface BoardPartsOptions {
  role: Role;
  publicUrl: string;
  /** Of the role; kept for the next time. */
  rows: RowMemory;
}

/** Rows as they were rendered last, by flag: most are the same a second later. */
export type RowMemory = Map<string, { of: RowSource; part: Part }>;

/** All that a row shows; what is missing here would be shown up to `FIGURES_MS` late. */
interface RowSource {
  flag: FlagRow["flag"];
  money: Board["money"];
  /** All else: it is small, and made anew each time. */
  rest: readonly unknown[];
}

const MINUTE_MS = 60_000;
/** Rows rendered in one turn of the event loop: a few milliseconds. */
const ROWS_PER_TURN = 10;

export async function boardParts(board: Board | LastKnownBoard, options: BoardPartsOptions): Promise<Part> {
  const visitor: Actor = { ...systemActor("board", "board"), role: options.role };
  if (board.kind === "last known") return region(<LastKnown board={board} actor={visitor} />, []);
  const operator = mayOperate(visitor);
  const news: Part = {
    id: "news",
    html: toHtml(
      <div id="news" class="part">
        <MasterNews board={board} operator={operator} />
        <IncidentNews board={board} operator={operator} />
      </div>,
    ),
    children: changingParts(board),
  };
  const steps = leaf(
    "steps",
    <FirstSteps board={board} admin={mayAdminister(visitor)} publicUrl={options.publicUrl} />,
  );
  const unknown = unknownFlags(board, visitor);
  const title = <h1 class="unseen">{`Board of ${board.environment.name}`}</h1>;
  if (board.rows.length === 0) {
    return region(
      <>
        {title}
        <Place id="news" />
        <Place id="unknown" />
        <Place id="steps" />
      </>,
      [news, unknown, steps],
    );
  }
  return region(
    <>
      {title}
      <Place id="now" />
      <Place id="news" />
      <Find path={`/e/${board.environment.key}`} />
      <Place id="flags" />
      <Place id="unpriced" />
      <Place id="shared" />
      <Place id="unknown" />
      <Place id="steps" />
      {mayAdminister(visitor) ? (
        <p class="after">
          <a class="button" href={`/e/${board.environment.key}/flags/new`}>
            New flag…
          </a>
        </p>
      ) : null}
      <Place id="master" />
    </>,
    [
      news,
      { id: "now", html: toHtml(<Now board={board} />), children: [] },
      await flagList(board, visitor, options.rows),
      figures("unpriced", <Unpriced board={board} />),
      { ...leaf("shared", <SharedBudgets board={board} />), pace: "figures" },
      unknown,
      steps,
      {
        id: "master",
        html: toHtml(<MasterBar board={board} operator={operator} />),
        children: [figures("master-money", <MasterMoney money={board.money} />)],
      },
    ],
  );
}

/** Sent anew when other keys are asked for, and once a minute while any is. */
function unknownFlags({ unknown, environment, money, nowMs }: Board, visitor: Actor): Part {
  const base = `/e/${environment.key}`;
  const line = <UnknownFlagsLine unknown={unknown} base={base} admin={mayAdminister(visitor)} nowMs={nowMs} />;
  const asked = unknown.items.map(({ key, askedAt }) => `${key} ${Math.floor(Date.parse(askedAt) / MINUTE_MS)}`);
  const children =
    unknown.items.length === 0 ? [] : [figures("unknown-burn", <UnknownBurn burn={money.undefinedBurn} />)];
  return { ...leaf("unknown", line), identity: asked.toSorted().join("\n"), children };
}

function region(inner: Child, children: Part[]): Part {
  return {
    id: "live",
    html: toHtml(
      <div id="live" data-live>
        {inner}
      </div>,
    ),
    children,
  };
}

/** The rows. Another order alone is not sent: on an open page nothing changes its place. */
async function flagList(board: Board, visitor: Actor, memory: RowMemory): Promise<Part> {
  const rows: Part[] = [];
  const held = board.fleet.held.map(({ instance, local, state }) => [instance, local, state]);
  let rendered = 0;
  for (const row of board.rows) {
    const { flag, last, refusals } = row;
    const concerned = board.incidents.some((incident) => concerns(incident, flag));
    const of: RowSource = { flag, money: board.money, rest: [last, concerned, refusals, held] };
    const known = memory.get(flag.key);
    const isSame = known?.of.flag === flag && known.of.money === board.money && same(known.of.rest, of.rest);
    const part = isSame ? known.part : flagRow(row, board, visitor);
    if (!isSame) {
      memory.set(flag.key, { of, part });
      rendered += 1;
      if (rendered % ROWS_PER_TURN === 0) await nextTurn();
    }
    rows.push(part);
  }
  const keys = new Set(board.rows.map(({ flag }) => flag.key));
  for (const key of memory.keys()) if (!keys.has(key)) memory.delete(key);
  return {
    id: "flags",
    html: toHtml(
      <section id="flags" aria-label="Flags" class="flags">
        {rows.map(({ id }) => (
          <Place id={id} />
        ))}
      </section>,
    ),
    children: rows,
    identity: rows
      .map(({ id }) => id)
      .toSorted()
      .join(" "),
  };
}

function flagRow(row: FlagRow, board: Board, visitor: Actor): Part {
  const { flag, attention, refusals } = row;
  const light = lightOf(flag, refusals.length > 0);
  const { money, nowMs } = board;
  const instances = someIn(board.fleet, "live").count;
  const base = `/e/${board.environment.key}`;
  return {
    id: `flag-${flag.key}`,
    html: toHtml(
      <FlagCard
        row={row}
        board={board}
        operator={mayOperate(visitor)}
        admin={mayAdminister(visitor)}
        money={<FlagMoneyView flag={flag} money={money} />}
      />,
    ),
    children: flagMoneyParts({ flag, attention, instances, light, money, base, nowMs }),
  };
}

function leaf(id: string, inner: Child): Part {
  return { id, html: toHtml(<div id={id}>{inner}</div>), children: [] };
}

function figures(id: string, inner: Child): Part {
  return { id, html: toHtml(inner), children: [], pace: "figures" };
}
