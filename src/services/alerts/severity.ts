/** How bad it is what an alert tells of: what pages somebody at night, and what can wait. */
import type { AlertPayload } from "../../api/alert.ts";
import type { AlertEvent, Severity } from "../../domain/channel.ts";

/** Null for what tells of an incident without making it worse. */
export function severityOf(payload: AlertPayload): Severity | null {
  switch (payload.type) {
    case "incident.step":
      return payload.flags.length === 0 && payload.step.action !== "over" ? "warning" : ofStep(payload.step.action);
    case "incident.trigger":
      return payload.action === "kill" ? "critical" : "error";
    case "incident.account":
      return "critical";
    case "incident.breaker":
      return "error";
    case "incident.watch":
      return payload.watch.kind === "burn" || payload.watch.kind === "errors" ? "error" : "warning";
    case "incident.unpriced":
    case "incident.drift":
      return "warning";
    case "incident.escalated":
    case "incident.acknowledged":
    case "incident.resolved":
      return null;
    case "test":
      return "info";
  }
}

/** A step that switched nothing only tells. */
function ofStep(action: string): Severity {
  if (action === "kill" || action === "over") return "critical";
  return action === "downgrade" ? "error" : "warning";
}

export function eventOf({ type }: AlertPayload): AlertEvent {
  if (type === "incident.acknowledged") return "acknowledge";
  return type === "incident.resolved" ? "resolve" : "trigger";
}
