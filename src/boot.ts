/**
 * Builds what the rest is handed, and stops it again. Order matters: nothing is served before the schema is current and
 * every snapshot is in memory; the database is closed last.
 */
import { type Logger, pino } from "pino";
import type { Clock } from "./clock.ts";
import type { Deps } from "./deps.ts";
import { createReports } from "./adapters/anthropic/reports.ts";
import { createNotify } from "./adapters/notify/notify.ts";
import { DatabaseClock } from "./clock.ts";
import type { Config, Settings } from "./config.ts";
import { connect, openingText } from "./db/connect.ts";
import type { Database } from "./db/database.ts";
import { isSchemaNewer } from "./db/migrate.ts";
import { describeError } from "./http/middleware/error-log.ts";
import { JOBS } from "./jobs/jobs.ts";
import { outboxJob } from "./jobs/outbox.ts";
import { reconciliationJob } from "./jobs/reconciliation.ts";
import { JobRunner } from "./jobs/runner.ts";
import { newId, newSecret, randomShare } from "./random.ts";
import { keptSecret } from "./secret-file.ts";
import { StartError } from "./start-error.ts";
import { AlertDelivery } from "./services/alerts/delivery.ts";
import { applyAdminToken, FIRST_ADMIN_ID, firstRun, hasNoOtherAdmin } from "./services/access/first-run.ts";
import { DatabaseLeaseDesk } from "./services/budgets/lease-desk.ts";
import { BufferedInstanceTracker } from "./services/instances/tracker.ts";
import { ReportPolls } from "./services/reconciliation/poll.ts";
import { DatabaseLedger } from "./services/usage/ledger.ts";
import { checkSecret } from "./services/access/secret-check.ts";
import { LineageRepair } from "./services/snapshots/lineage-repair.ts";
import { createSignInLink } from "./services/access/sign-in.ts";
import { DatabaseSnapshotStore } from "./services/snapshots/store.ts";
import { StateSync } from "./services/snapshots/state-sync.ts";
import { DatabaseVerdictLog } from "./services/verdicts/log.ts";
import { DatabaseTokenStore } from "./services/access/token-store.ts";
import { version } from "./version.ts";

const SECRET_BYTES = 32;
const makeSecret = (): string => newSecret(SECRET_BYTES);

export interface BootOptions {
  clock?: Clock;
  log?: Logger;
  /** False leaves the jobs out. */
  jobs?: boolean;
  /** Told what it is at, in words: a first start takes a while. */
  say?: (line: string) => void;
}

export interface Runtime {
  readonly deps: Deps;
  /** A fresh sign-in link's secret, when the operator needs one; else null. */
  readonly signInSecret: string | null;
  /** What was found and is likely not meant, in words for the operator. */
  readonly warnings: readonly string[];
  /** Answers all parked polls and parks no more. */
  drain: () => void;
  /** Writes the last receipts, stops everything and closes the database. */
  close: () => Promise<void>;
}

/** Starts everything but the HTTP server. Throws with words for the operator when it cannot. */
export async function boot(settings: Settings, options: BootOptions = {}): Promise<Runtime> {
  const log = options.log ?? pino({ level: settings.logLevel, serializers: { err: describeError } });
  const clock = options.clock ?? new DatabaseClock();
  const say = options.say ?? (() => {});
  say(openingText(settings.database));
  const database = await connect(settings.database, log);
  let isNewer = false;
  try {
    say("Bringing its tables up to date");
    await database.migrate();
    say("Reading flags, budgets and usage");
    isNewer = await isSchemaNewer(database.lanes.changes);
    const runtime = await start(settings, database, { clock, log, jobs: options.jobs ?? true });
    return isNewer ? { ...runtime, warnings: [SCHEMA_NEWER, ...runtime.warnings] } : runtime;
  } catch (error) {
    await database.close();
    throw isNewer && !(error instanceof StartError)
      ? new StartError(`${SCHEMA_NEWER} It cannot start on it.`, { cause: error })
      : error;
  }
}

/** Told and not refused: during an upgrade, and back from one, releases meet. */
const SCHEMA_NEWER =
  "The schema of this database was made by a newer release of Andon. This one may not understand all of it: use it to get through an upgrade or back from one, and not for longer.";

async function start(
  settings: Settings,
  database: Database,
  { clock, log, jobs }: { clock: Clock; log: Logger; jobs: boolean },
): Promise<Runtime> {
  const { changes: db, jobs: jobsDb, sync: syncDb, usage, leases: leasesDb, pages: reads } = database.lanes;
  const config: Config = { ...settings, secret: await secretOf(settings) };
  const snapshots = new DatabaseSnapshotStore({ db: syncDb, clock, log, random: randomShare });
  const tokens = new DatabaseTokenStore({ db: syncDb, clock });
  const instances = new BufferedInstanceTracker({ db: syncDb, clock, log });
  const ledger = new DatabaseLedger();
  const leases = new DatabaseLeaseDesk({ server: newId(), log });
  const verdicts = new DatabaseVerdictLog({
    db: syncDb,
    clock,
    random: randomShare,
    lineageOf: (environmentId) => snapshots.current(environmentId)?.lineage ?? "",
  });
  const { adminKey, baseUrl } = config.reconciliation;
  const deps: Deps = {
    config,
    db,
    reads,
    clock,
    newId,
    newSecret,
    log,
    snapshots,
    tokens,
    instances,
    ledger,
    leases,
    verdicts,
    notify: createNotify(clock, config.smtp),
    reports: adminKey === null ? null : createReports(clock, { adminKey, baseUrl }),
    stats: { version: version(), leads: false, jobs: new Map(), rejectedRecords: new Map() },
  };
  ledger.start({ ...deps, db: usage });
  leases.start({ ...deps, db: leasesDb });

  const rewound = new LineageRepair();
  snapshots.onRewound = (environmentId, evidence) => rewound.report(deps, environmentId, evidence);
  const isFirstRun = await firstRun(deps);
  await applyAdminToken(deps, config.adminToken);
  const secretWarning = await checkSecret(deps);
  const wantsLink = isFirstRun || (database.kind === "embedded" && (await hasNoOtherAdmin(db)));
  const signInSecret = wantsLink ? (await createSignInLink(deps, FIRST_ADMIN_ID)).secret : null;

  const sync = new StateSync({ database, clock, log, snapshots, tokens, leases, verdicts });
  await sync.start();
  const ofJobs: Deps = { ...deps, db: jobsDb };
  const delivery = new AlertDelivery(ofJobs, randomShare);
  const polls = new ReportPolls(ofJobs, randomShare);
  const own = [outboxJob(delivery), reconciliationJob(polls)];
  const runner = new JobRunner({ deps: ofJobs, lead: () => database.lead(), jobs: [...JOBS, ...own] });
  if (jobs) runner.start();
  return {
    deps,
    signInSecret,
    warnings: secretWarning === null ? [] : [secretWarning],
    drain: () => {
      snapshots.drain();
      leases.drain();
      verdicts.drain();
    },
    close: async () => {
      snapshots.drain();
      verdicts.drain();
      await leases.close();
      await ledger.close();
      await runner.close();
      await delivery.close();
      await polls.close();
      await sync.close();
      instances.close();
      try {
        await instances.flush();
      } catch (error) {
        log.warn({ err: error }, "the last receipts were not written");
      }
      await database.close();
    },
  };
}

async function secretOf(settings: Settings): Promise<string> {
  if (settings.secret !== null) return settings.secret;
  // Without a folder nothing outlives the process; with PostgreSQL the configuration requires a secret.
  return settings.database.kind === "embedded" ? keptSecret(settings.database.dataDir, makeSecret) : makeSecret();
}
