/** Removes what nobody asks for any more: old receipts and revisions, instances long gone, old usage, old alerts. */
import { pruneInstances } from "../services/instances/instances.ts";
import { pruneMessageBatches } from "../services/batches/view.ts";
import { pruneLeases } from "../services/budgets/lease-expiry.ts";
import { pruneAlerts } from "../services/alerts/outbox.ts";
import { pruneUsedLinks } from "../services/alerts/press-link.ts";
import { pruneSessions } from "../services/access/sign-out.ts";
import { pruneTriggerAlerts } from "../services/triggers/receive.ts";
import { pruneUsage } from "../services/usage/prune.ts";
import type { Job } from "./runner.ts";

export const pruneJob: Job = {
  name: "prune",
  everyMs: 60_000,
  isLong: true,
  async run(deps) {
    await pruneInstances(deps.db);
    await pruneUsage(deps);
    await pruneLeases(deps.db, deps.clock.nowMs());
    await pruneMessageBatches(deps.db, deps.clock.nowMs());
    await pruneAlerts(deps);
    await pruneTriggerAlerts(deps);
    await pruneUsedLinks(deps);
    await pruneSessions(deps);
  },
};
