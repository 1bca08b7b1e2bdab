/** Reads Claude's reports when that is due. A turn only begins it: what else the leader has to do goes on. */
import type { ReportPolls } from "../services/reconciliation/poll.ts";
import type { Job } from "./runner.ts";

export function reconciliationJob(polls: ReportPolls): Job {
  return { name: "reconciliation", everyMs: 10_000, run: () => polls.begin() };
}
