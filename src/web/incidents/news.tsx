/**
 * Open incidents, on top of the board: what happened by itself, since when, whether it has arrived everywhere, and what
 * can be done about it.
 */
import { modelNames } from "../../../sdk-client/src/evaluate/model-names.ts";
import { timesUsual } from "../../domain/attention.ts";
import { triggerActorName } from "../../domain/trigger.ts";
import type { IncidentResource } from "../../api/incident.ts";
import type { FlagResource } from "../../api/flag.ts";
import { type BudgetGlance, overShared } from "../../services/board/money.ts";
import type { Driver } from "../../services/usage/drivers.ts";
import type { UndeliveredAlerts } from "../../services/alerts/undelivered.ts";
import type { Board, FlagRow } from "../board/state.ts";
import { BatchesLine } from "../batches/line.tsx";
import { Asked, askedId } from "./asked.tsx";
import { LapsedLine } from "./lapsed-line.tsx";
import { type Part, Place } from "../board/parts.ts";
import { watchPathOf } from "./watch-now.tsx";
import { pricePathOf } from "../prices/price-path.ts";
import { toHtml } from "../shell/render.tsx";
import { SpentNow, spentNowId, titleNow } from "./spent-now.tsx";
import { Moment } from "../shell/moment.tsx";
import { More } from "../board/more.tsx";
import { ProofView } from "../shell/proof-view.tsx";
import { Running } from "../shell/running.tsx";
import { age } from "../../domain/age.ts";
import { count, listed } from "../text/text.ts";
import { RefreshLink } from "../shell/without-script.tsx";

const PROOF_SHOWN_MS = 2 * 60_000;

/** More than these are hidden: they are found on the page of incidents, and on the rows of their flags. */
export const SHOWN_INCIDENTS = 2;

/** More instances than these are counted. */
const NAMED_INSTANCES = 5;

const nameOf = modelNames();

/** What turned something off comes first, then what downgraded, then what only tells; each newest first. */
export function IncidentNews({ board, operator }: { board: Board; operator: boolean }) {
  if (board.incidents.length === 0) return null;
  const all = board.incidents
    .map((incident) => ({ incident, ...switchedBy(incident, board) }))
    .toSorted((a, b) => urgency(b) - urgency(a));
  return (
    <section aria-label="Open incidents" class={all.length > 1 ? "news many" : "news"}>
      {all.map((news) => (
        <Incident {...news} board={board} operator={operator} />
      ))}
    </section>
  );
}

/** What their budgets have spent now, and how long nobody has acknowledged: by themselves, as they change all the time. */
export function changingParts(board: Board): Part[] {
  const { nowMs } = board;
  return board.incidents.flatMap((incident) => [
    figures(spentNowId(incident.id), <SpentNow incident={incident} spent={spentOf(incident, board)} nowMs={nowMs} />),
    figures(askedId(incident.id), <Asked incident={incident} nowMs={nowMs} lead=" · " />),
  ]);
}

function figures(id: string, element: unknown): Part {
  return { id, html: toHtml(element), children: [], pace: "figures" };
}

function spentOf({ budget }: IncidentResource, { money }: Board): BudgetGlance | undefined {
  return budget === null ? undefined : money.budgets.find(({ id }) => id === budget.id);
}

interface News {
  incident: IncidentResource;
  /** The flags that it has switched, and of these the ones that are off. */
  rows: FlagRow[];
  killed: FlagRow[];
  /** Its flag, while that is on over the limit. */
  over: FlagRow | null;
}

function switchedBy(incident: IncidentResource, board: Board): Omit<News, "incident"> {
  const rows = board.rows.filter(({ flag }) => concerns(incident, flag));
  const killed = rows.filter(({ flag }) =>
    incident.trigger === null
      ? flag.trips.some((trip) => trip.budget.id === incident.budget?.id && trip.action === "kill")
      : flag.switch.state === "off",
  );
  const over = board.rows.find(({ flag }) => flag.standing.over?.budget.id === incident.budget?.id) ?? null;
  return { rows, killed, over: incident.budget === null ? null : over };
}

/** As in the order of attention; what somebody has acknowledged comes after what nobody has. */
function urgency({ incident, over, killed, rows }: News): number {
  const tells = rows.length > 0 || incident.watch?.kind === "burn";
  const kind = over !== null ? 3 : killed.length > 0 || incident.account !== null ? 2 : tells ? 1 : 0;
  return kind + (incident.acknowledgedAt === null ? 4 : 0);
}

function Incident({ incident, rows, killed, over, board, operator }: News & { board: Board; operator: boolean }) {
  const base = `/e/${board.environment.key}`;
  const isOver = isOverNow(incident, board);
  const light =
    killed.length > 0 || incident.account !== null ? " off" : isOver ? " over" : rows.length > 0 ? " downgraded" : "";
  const last = incident.steps.at(-1);
  const proof = newestTrip(rows);
  const undelivered = board.undelivered.get(incident.id);
  const lapsed = board.lapsed.get(incident.id);
  const driver = board.drivers.get(incident.id);
  const title = headline({ incident, killed, rows, over }, spentOf(incident, board));
  return (
    <article class={`card incident${light}`} id={`incident-${incident.id}`} aria-labelledby={`title-${incident.id}`}>
      <div class="card-head">
        {light === "" ? null : <span class={`light${light}`} aria-hidden="true"></span>}
        <h2 id={`title-${incident.id}`}>{title}</h2>
      </div>
      <More what={`incident-${incident.id}`} name={title} />
      <p class="drives">
        <Place id={spentNowId(incident.id)} />
        {driver === undefined ? null : <DriverWords driver={driver} saysTimes={incident.watch === null} />}
        <Place id={askedId(incident.id)} />
      </p>
      {last === undefined ? null : (
        <p class="state extra">
          <Moment at={last.at} nowMs={board.nowMs} />: {last.text}
        </p>
      )}
      {incident.account === null ? null : <p class="state">{refusedNow(incident.account)}</p>}
      {lapsed === undefined ? null : (
        <div class="extra">
          <LapsedLine lapsed={lapsed} nowMs={board.nowMs} />
        </div>
      )}
      {undelivered === undefined ? null : (
        <p class="lag">
          <a href={`${base}/alerts?state=waiting`}>{undeliveredText(undelivered, board.nowMs)}</a>
        </p>
      )}
      {incident.alerts.failed > 0 ? (
        <p class="lag">
          <a href={`${base}/alerts?state=failed`}>
            {incident.alerts.failed === 1 ? "1 alert" : `${incident.alerts.failed} alerts`} could not be delivered
          </a>
        </p>
      ) : null}
      {proof === null ? null : (
        <div class="fact">
          <ProofView
            proof={proof.proof}
            fresh={board.nowMs - Date.parse(proof.at) < PROOF_SHOWN_MS}
            what={incident.title}
          />
          {killed.length === 1 && killed[0] !== undefined ? <Running flag={killed[0].flag} /> : null}
          <RefreshLink anchor={`incident-${incident.id}`} />
        </div>
      )}
      {rows.map(({ flag }) => (
        <BatchesLine
          of={flag}
          batches={board.batches.get(flag.key)}
          nowMs={board.nowMs}
          base={base}
          operator={operator}
        />
      ))}
      <div class="acts">
        {operator && incident.acknowledgedAt === null ? (
          <Acknowledge id={incident.id} base={base} title={incident.title} />
        ) : null}
        {operator && incident.model !== null ? (
          <a class="button extra" href={`${base}/models`} aria-label={`Model ${incident.model}…`}>
            Model…
          </a>
        ) : null}
        {incident.drift === null ? null : (
          <a class="button extra" href={`${base}/reconciliation`}>
            Compare…
          </a>
        )}
        {incident.watch === null ? null : (
          <a class="button extra" href={watchPathOf(base, incident.watch)}>
            Watch…
          </a>
        )}
        {incident.unpriced === null ? null : (
          <a class="button extra" href={pricePathOf(base, incident.unpriced)}>
            Add a price…
          </a>
        )}
        {operator && incident.budget !== null ? (
          <a
            class="button extra"
            href={`${base}/budgets/${incident.budget.id}/raise`}
            aria-label={`Raise budget ${incident.budget.name}…`}
          >
            Raise…
          </a>
        ) : null}
        {operator && incident.model === null && incident.account === null ? <Restore rows={rows} base={base} /> : null}
        <a class="button extra" href={`${base}/incidents#incident-${incident.id}`}>
          Timeline
        </a>
      </div>
    </article>
  );
}

interface DriverProps {
  driver: Driver;
  /** A title that says how many times need not be said twice. */
  saysTimes: boolean;
}

/** " · 10 times the usual burn · 91 % from session bulk-import-77". */
function DriverWords({ driver, saysTimes }: DriverProps) {
  const { who, burnNanoUsdPerHour: burn, usualNanoUsdPerHour: usual } = driver;
  const times = timesUsual({ burnNanoUsdPerHour: burn, usualNanoUsdPerHour: usual });
  return (
    <>
      {!saysTimes || times === null || times < 2 || !Number.isFinite(times) ? null : (
        <b> · {Math.floor(times)} times the usual burn</b>
      )}
      {who === null ? null : (
        <>
          {` · ${who.percent} % from ${who.by} `}
          <code>{who.name}</code>
        </>
      )}
    </>
  );
}

/** With one flag the incident is about that flag; with more, each is restored on its own card. */
function Restore({ rows, base }: { rows: readonly FlagRow[]; base: string }) {
  const [row] = rows;
  if (row === undefined || rows.length > 1) return null;
  return (
    <a class="button extra" href={`${base}/flags/${row.flag.key}/restore`} aria-label={`Restore ${row.flag.name}…`}>
      Restore…
    </a>
  );
}

function Acknowledge({ id, base, title }: { id: string; base: string; title: string }) {
  const path = `${base}/incidents/${id}/acknowledge`;
  return (
    <form method="post" action={path} hx-post={path}>
      <button class="main" id={`acknowledge-${id}`} aria-label={`Acknowledge: ${title}`}>
        Acknowledge
      </button>
    </form>
  );
}

/** "Calls are refused now on 3 of 40 instances: host-1, host-7, host-9." */
function refusedNow({ instances, running }: NonNullable<IncidentResource["account"]>): string {
  const more = instances.length - NAMED_INSTANCES;
  const names = instances.slice(0, NAMED_INSTANCES).join(", ");
  return `Calls are refused now on ${instances.length} of ${running} instances: ${names}${more > 0 ? ` and ${more} more` : ""}.`;
}

/** Whether a trip of the incident's budget, the breaker of its model or a refusal of its account is in force for the flag. */
export function concerns(incident: IncidentResource, flag: FlagResource): boolean {
  const { cause } = flag.standing;
  if (incident.account !== null) return incident.account.flags.includes(flag.key);
  if (incident.trigger !== null) {
    const by = triggerActorName(incident.trigger.name);
    const isHeld = (flag.switch.state === "off" && flag.switch.by === by) || flag.level.manual?.by === by;
    return isHeld && incident.trigger.flags.includes(flag.key);
  }
  if (incident.model !== null) {
    return cause.kind === "BREAKER" && cause.models.some((model) => nameOf(model) === incident.model);
  }
  return flag.trips.some((trip) => trip.budget.id === incident.budget?.id);
}

/** Whether the incident's budget is over its limit while something that spends from it is on. */
function isOverNow({ budget }: IncidentResource, { rows, money }: Board): boolean {
  if (budget === null) return false;
  const flags = rows.map(({ flag }) => flag);
  return (
    flags.some(({ standing }) => standing.over?.budget.id === budget.id) ||
    overShared(money, flags).some(({ id }) => id === budget.id)
  );
}

/** What is so now: "Support chat was turned off by budget Daily". Without a trip in force: what was reached. */
function headline({ incident, killed, rows, over }: News, spent: BudgetGlance | undefined): string {
  if (incident.budget === null && incident.trigger === null) return incident.title;
  if (over !== null) return `${over.flag.name} is on over its limit`;
  const affected = killed.length > 0 ? killed : rows;
  if (affected.length === 0) return titleNow(incident, spent);
  const names = listed(affected.map(({ flag }) => flag.name));
  const did = `${affected.length === 1 ? "was" : "were"} ${killed.length > 0 ? "turned off" : "downgraded"}`;
  return `${names} ${did} by ${incident.trigger === null ? `budget ${incident.budget?.name ?? ""}` : `alert ${incident.trigger.alert}`}`;
}

/** "2 alerts have not got through for 6 min: Answered 500." */
function undeliveredText({ alerts, since, error }: UndeliveredAlerts, nowMs: number): string {
  const forLong = age((nowMs - Date.parse(since)) / 1_000);
  const has = alerts === 1 ? "has" : "have";
  return `${count(alerts, "alert")} ${has} not got through for ${forLong}: ${error ?? "being tried again now."}`;
}

function newestTrip(rows: readonly FlagRow[]): FlagRow["last"] {
  const trips = rows.flatMap(({ last }) => (last?.action === "flag.tripped" ? [last] : []));
  return trips.toSorted((a, b) => b.auditId - a.auditId)[0] ?? null;
}
