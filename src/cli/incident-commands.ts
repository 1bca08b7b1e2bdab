/** Incidents: what is open and whether anybody is on it; to say so, and to close one whose cause has ended. */
import { age } from "../domain/age.ts";
import { acknowledgedAnswer, type IncidentLine, incidentsAnswer, resolvedAnswer } from "./answers.ts";
import { createApiClient } from "./api-client.ts";
import { baseOf, type Common, show } from "./commands.ts";
import { CliError, type Io } from "./io.ts";
import { moment } from "./text.ts";

/** So much of an id tells it from all others. */
const SHOWN_ID_CHARS = 8;
const MAX_LISTED = 50;

export async function incidents(io: Io, options: Common & { all?: boolean }): Promise<number> {
  const answer = await read(io, options, options.all !== true);
  const none = options.all === true ? "There was no incident yet." : "No incident is open.";
  const lines = answer.items.map((incident) => incidentLine(incident, io.nowMs()));
  return show(io, options, answer, lines.length === 0 ? [none] : lines);
}

/** Without an id: the one that is open and not acknowledged. */
export async function acknowledge(io: Io, id: string | undefined, options: Common): Promise<number> {
  const incident = await find(io, id, options, ({ acknowledgedAt }) => acknowledgedAt === null);
  const path = `${baseOf(options)}/incidents/${incident.id}/acknowledge`;
  const answer = await createApiClient(io).call(path, acknowledgedAnswer, { method: "POST" });
  const line = `${incident.title}: acknowledged ${moment(answer.acknowledgedAt)} by ${answer.acknowledgedBy}`;
  return show(io, options, answer, [line]);
}

/** Without an id: the one that is open. */
export async function resolve(io: Io, id: string | undefined, options: Common): Promise<number> {
  const incident = await find(io, id, options, () => true);
  const path = `${baseOf(options)}/incidents/${incident.id}/resolve`;
  const answer = await createApiClient(io).call(path, resolvedAnswer, { method: "POST" });
  return show(io, options, answer, [`${incident.title}: resolved ${moment(answer.resolvedAt)}`]);
}

function read(io: Io, options: Common, open: boolean) {
  const query = `limit=${String(MAX_LISTED)}${open ? "&open=true" : ""}`;
  return createApiClient(io).call(`${baseOf(options)}/incidents?${query}`, incidentsAnswer);
}

/** By its id or the beginning of it, among the open ones. */
async function find(
  io: Io,
  id: string | undefined,
  options: Common,
  isMeant: (incident: IncidentLine) => boolean,
): Promise<IncidentLine> {
  const { items } = await read(io, options, true);
  if (items.length === 0) throw new CliError("No incident is open.");
  const found = items.filter((incident) => (id === undefined ? isMeant(incident) : incident.id.startsWith(id)));
  const [incident] = found;
  if (incident !== undefined && found.length === 1) return incident;
  const which =
    id === undefined ? "Name one by its id." : `Not exactly one open incident has an id that begins with "${id}".`;
  const open = items.map((one) => incidentLine(one, io.nowMs()));
  throw new CliError([which, "Open:", ...open].join("\n"));
}

/** "5b1e0c7a  Daily reached 100 % of $50.00  open since 2026-11-21 02:41 UTC, nobody has acknowledged for 7 min". */
function incidentLine(incident: IncidentLine, nowMs: number): string {
  const { id, title, openedAt, resolvedAt } = incident;
  const state =
    resolvedAt === null
      ? `open since ${moment(openedAt)}, ${askedText(incident, nowMs)}`
      : `${moment(openedAt)} to ${moment(resolvedAt)}`;
  return `${id.slice(0, SHOWN_ID_CHARS)}  ${title}  ${state}`;
}

/** An older server does not tell since when on-call is asked. */
function askedText({ acknowledgedAt, acknowledgedBy, askedSince, openedAt }: IncidentLine, nowMs: number): string {
  if (acknowledgedAt !== null) return `acknowledged ${moment(acknowledgedAt)} by ${acknowledgedBy ?? "somebody"}`;
  return `nobody has acknowledged for ${age((nowMs - Date.parse(askedSince ?? openedAt)) / 1_000)}`;
}
