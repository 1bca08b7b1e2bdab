/**
 * Open incidents, on top of the board: what happened by itself, since when, whether it has arrived everywhere, and what
 * can be done about it.
 */
import type { IncidentResource } from "../domain/money-resources.ts";
import type { FlagResource } from "../domain/resources.ts";
import { overShared } from "../services/board-money.ts";
import type { Untaken } from "../services/untaken-alerts.ts";
import type { Board, FlagRow } from "./board-state.ts";
import { LapsedLine } from "./lapsed-line.tsx";
import { Moment } from "./moment.tsx";
import { ProofView } from "./proof-view.tsx";
import { Running } from "./running.tsx";
import { age, count, listed } from "./text.ts";
import { RefreshLink } from "./without-script.tsx";

const PROOF_SHOWN_MS = 2 * 60_000;

/** What turned something off comes first, then what downgraded, then what only tells; each newest first. */
export function IncidentNews({ board, operator }: { board: Board; operator: boolean }) {
  if (board.incidents.length === 0) return null;
  return (
    <section aria-label="Open incidents" class="flags">
      {board.incidents
        .map((incident) => ({ incident, ...switchedBy(incident, board) }))
        .toSorted((a, b) => b.killed.length - a.killed.length || b.rows.length - a.rows.length)
        .map((news) => (
          <Incident {...news} board={board} operator={operator} />
        ))}
    </section>
  );
}

interface News {
  incident: IncidentResource;
  /** The flags that it has switched, and of these the ones that are off. */
  rows: FlagRow[];
  killed: FlagRow[];
}

function switchedBy(incident: IncidentResource, board: Board): Omit<News, "incident"> {
  const rows = board.rows.filter(({ flag }) => concerns(incident, flag));
  const killed = rows.filter(({ flag }) =>
    flag.trips.some((trip) => trip.budget.id === incident.budget?.id && trip.action === "kill"),
  );
  return { rows, killed };
}

function Incident({ incident, rows, killed, board, operator }: News & { board: Board; operator: boolean }) {
  const base = `/e/${board.environment.key}`;
  const isOver = isOverNow(incident, board);
  const light = killed.length > 0 ? " off" : isOver ? " over" : rows.length > 0 ? " downgraded" : "";
  const last = incident.steps.at(-1);
  const proof = newestTrip(rows);
  const untaken = board.untaken.get(incident.id);
  const lapsed = board.lapsed.get(incident.id);
  return (
    <article class={`card incident${light}`} id={`incident-${incident.id}`} aria-labelledby={`title-${incident.id}`}>
      <div class="card-head">
        {light === "" ? null : <span class={`light${light}`} aria-hidden="true"></span>}
        <h2 id={`title-${incident.id}`}>{headline(incident, killed, rows)}</h2>
      </div>
      <p class="state">
        <Moment at={last?.at ?? incident.openedAt} nowMs={board.nowMs} exact /> · {last?.text ?? incident.title}
      </p>
      {lapsed === undefined ? null : <LapsedLine lapsed={lapsed} nowMs={board.nowMs} />}
      {incident.acknowledgedAt === null ? null : (
        <p class="dim">
          Acknowledged <Moment at={incident.acknowledgedAt} nowMs={board.nowMs} />
          {incident.acknowledgedBy === null ? "" : ` by ${incident.acknowledgedBy}`}
        </p>
      )}
      {untaken === undefined ? null : (
        <p class="lag">
          <a href={`${base}/alerts?state=waiting`}>{untakenText(untaken, board.nowMs)}</a>
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
        <div class="proof-box">
          <ProofView
            proof={proof.proof}
            fresh={board.nowMs - Date.parse(proof.at) < PROOF_SHOWN_MS}
            what={incident.title}
          />
          {killed.length === 1 && killed[0] !== undefined ? <Running flag={killed[0].flag} /> : null}
          <RefreshLink anchor={`incident-${incident.id}`} />
        </div>
      )}
      <div class="acts">
        {operator && incident.acknowledgedAt === null ? (
          <Acknowledge id={incident.id} base={base} title={incident.title} />
        ) : null}
        {operator && incident.budget !== null ? (
          <a
            class="button"
            href={`${base}/budgets/${incident.budget.id}/raise`}
            aria-label={`Raise budget ${incident.budget.name}…`}
          >
            Raise…
          </a>
        ) : null}
        {operator ? <Restore rows={rows} base={base} /> : null}
        <a class="button" href={`${base}/incidents#incident-${incident.id}`}>
          Timeline
        </a>
      </div>
    </article>
  );
}

/** With one flag the incident is about that flag; with more, each is restored on its own card. */
function Restore({ rows, base }: { rows: readonly FlagRow[]; base: string }) {
  const [row] = rows;
  if (row === undefined || rows.length > 1) return null;
  return (
    <a class="button" href={`${base}/flags/${row.flag.key}/restore`} aria-label={`Restore ${row.flag.name}…`}>
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

/** Whether a trip of the incident's budget is in force for the flag. */
export function concerns(incident: IncidentResource, flag: FlagResource): boolean {
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

/** "Support chat was turned off by its budget". Without a trip in force: what was reached. */
function headline(incident: IncidentResource, killed: readonly FlagRow[], rows: readonly FlagRow[]): string {
  const affected = killed.length > 0 ? killed : rows;
  if (affected.length === 0 || incident.budget === null) return incident.title;
  const names = listed(affected.map(({ flag }) => flag.name));
  const did = `${affected.length === 1 ? "was" : "were"} ${killed.length > 0 ? "turned off" : "downgraded"}`;
  return `${names} ${did} by budget ${incident.budget.name}`;
}

/** "2 alerts have not got through for 6 min: Answered 500." */
function untakenText({ alerts, since, error }: Untaken, nowMs: number): string {
  const forLong = age((nowMs - Date.parse(since)) / 1_000);
  const has = alerts === 1 ? "has" : "have";
  return `${count(alerts, "alert")} ${has} not got through for ${forLong}: ${error ?? "being tried again now."}`;
}

function newestTrip(rows: readonly FlagRow[]): FlagRow["last"] {
  const trips = rows.flatMap(({ last }) => (last?.action === "flag.tripped" ? [last] : []));
  return trips.toSorted((a, b) => b.auditId - a.auditId)[0] ?? null;
}
