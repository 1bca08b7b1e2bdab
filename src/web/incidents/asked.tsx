/** Whether anybody is on it: who has acknowledged, and when; or for how long nobody has. */
import type { IncidentResource } from "../../api/incident.ts";
import { age } from "../../domain/age.ts";
import { Moment } from "../shell/moment.tsx";

/** A minute is nobody's fault. */
const QUIET_MS = 60_000;

export const askedId = (incidentId: string): string => `asked-${incidentId}`;

interface AskedProps {
  incident: IncidentResource;
  nowMs: number;
  /** What stands before it in a line of several. */
  lead?: string;
}

/** "Acknowledged 02:45 by maria", "Nobody has acknowledged for 7 min". */
export function Asked({ incident, nowMs, lead = "" }: AskedProps) {
  const { acknowledgedAt, acknowledgedBy, askedSince, resolvedAt } = incident;
  const waitedMs = nowMs - Date.parse(askedSince);
  return (
    <span id={askedId(incident.id)}>
      {acknowledgedAt !== null ? (
        <>
          {lead}Acknowledged <Moment at={acknowledgedAt} nowMs={nowMs} />
          {acknowledgedBy === null ? "" : ` by ${acknowledgedBy}`}
        </>
      ) : resolvedAt === null && waitedMs >= QUIET_MS ? (
        <>
          {lead}
          <b>Nobody has acknowledged for {age(waitedMs / 1_000)}</b>
        </>
      ) : null}
    </span>
  );
}
