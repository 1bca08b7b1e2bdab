/** The jobs of a server, in the order of their turn. */
import { accountFaultsJob } from "./account-faults.ts";
import { batchesJob } from "./batches.ts";
import { breakersJob } from "./breakers.ts";
import { budgetsJob } from "./budgets.ts";
import { drillsJob } from "./drills.ts";
import { escalationJob } from "./escalation.ts";
import { expiryJob } from "./expiry.ts";
import { pruneJob } from "./prune.ts";
import { recentUsageJob } from "./recent-usage.ts";
import type { Job } from "./runner.ts";
import { topNamesJob } from "./top-names.ts";
import { triggersJob } from "./triggers.ts";
import { unpricedJob } from "./unpriced.ts";
import { usageRollupsJob } from "./usage-rollups.ts";
import { watchesJob } from "./watches.ts";

export const JOBS: readonly Job[] = [
  drillsJob,
  expiryJob,
  breakersJob,
  accountFaultsJob,
  batchesJob,
  budgetsJob,
  unpricedJob,
  watchesJob,
  triggersJob,
  escalationJob,
  recentUsageJob,
  topNamesJob,
  pruneJob,
  usageRollupsJob,
];
