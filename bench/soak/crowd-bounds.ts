/**
 * What the server may keep of a crowd, table by table: its own bounds, and what comes between two turns of the job that
 * holds them. A table that is not named here must not grow at all.
 */
import { DEFAULT_RECENT_CALLS_MAX } from "../../src/config.ts";
import { MAX_KEYS_PER_FLAG } from "../../src/domain/calls.ts";
import { RUNNING_FORGOTTEN_MS } from "../../src/domain/bound.ts";
import { FLEET_BUCKET_MS } from "../../src/domain/fleet-calls.ts";
import { LOST_COUNTED_SECONDS } from "../../src/domain/fleet.ts";
import { MINUTE_MS } from "../../src/domain/ledger.ts";
import { pruneJob } from "../../src/jobs/prune.ts";
import { recentUsageJob } from "../../src/jobs/recent-usage.ts";
import { topNamesJob } from "../../src/jobs/top-names.ts";
import { REMEMBERED_MAX } from "../../src/domain/fleet.ts";
import { REVISIONS_KEPT } from "../../src/services/instances/receipts.ts";
import { CALLS_KEPT_MS } from "../../src/services/usage/calls-by-revision.ts";
import { FLEET_CALLS_KEPT_MS } from "../../src/services/models/fleet-calls.ts";
import { callsIn, changesIn, CLIENTS, clientsIn, FLAGS, GENERATION_MS, lostIn } from "./crowd-shape.ts";

/** Tables that keep history on purpose: they grow with time, not with the crowd. */
export const HISTORY: ReadonlySet<string> = new Set([
  "audit",
  "usage_minutes",
  "usage_rollups",
  "usage_batches",
  "usage_top_names",
  "usage_top_spans",
]);

/** Jobs run one after the other: a turn may come so much later than it is due. */
const LATE_MS = GENERATION_MS;
const betweenPrunesMs = pruneJob.everyMs + LATE_MS;
const betweenRecentPrunesMs = recentUsageJob.everyMs + LATE_MS;

const revisions = REVISIONS_KEPT + changesIn(betweenPrunesMs);
/** The one that is under way, and those that the job has not come to. */
const minutesOfCalls = (CALLS_KEPT_MS + betweenRecentPrunesMs) / MINUTE_MS + 1;
const lost = lostIn(LOST_COUNTED_SECONDS * 1_000);
/** Stopped ones, and those that were silent for too long to count. */
const remembered = 2 * REMEMBERED_MAX;

/** Rows at most. */
export const BOUNDS: ReadonlyMap<string, number> = new Map([
  // Two fleets run while one takes over from the other.
  ["instances", 2 * CLIENTS + lost + remembered + clientsIn(betweenPrunesMs)],
  ["receipts", revisions * CLIENTS],
  ["revisions", revisions],
  ["usage_recent", DEFAULT_RECENT_CALLS_MAX + callsIn(betweenRecentPrunesMs)],
  // A row for each report at most, and for each of two hours.
  ["usage_staged", 2 * callsIn(topNamesJob.everyMs + LATE_MS)],
  // One more: of what is not told apart.
  ["calls_by_revision", Math.ceil(minutesOfCalls) * FLAGS * (MAX_KEYS_PER_FLAG + 1)],
  ["flag_checks", FLAGS],
  // Of each process that told of running calls; and of its calls, a row for each of these spans that it lived.
  ["running_calls", 2 * CLIENTS + clientsIn(RUNNING_FORGOTTEN_MS + betweenPrunesMs)],
  [
    "fleet_calls",
    (2 * CLIENTS + clientsIn(FLEET_CALLS_KEPT_MS + betweenPrunesMs)) * (GENERATION_MS / FLEET_BUCKET_MS + 1),
  ],
  // Days that begin within the run.
  ["budget_windows", 2 * FLAGS],
  // One token makes up the names of the fleet.
  ["instances_not_counted", 1],
  // One for each start of a server that nobody else can sign in to.
  ["sign_in_links", 2],
]);

/** Tables that a crowd of some hours has filled: a run that finds them emptier proves nothing. */
export const FILLED: ReadonlySet<string> = new Set([
  "instances",
  "receipts",
  "revisions",
  "usage_recent",
  "calls_by_revision",
]);
