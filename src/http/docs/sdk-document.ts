/**
 * What clients call, for the documentation: `/sdk/v1`. Those routes are the hot path and read by hand; what is written
 * here is held to the wire types by the compiler and to a server's real answers by a test.
 */
import {
  type SubjectBudget,
  type Verdict,
  VERDICT_ACTIONS,
  VERDICTS_PATH,
  type VerdictsAnswer,
} from "../../../sdk-client/src/wire/verdict-protocol.ts";
import { z } from "@hono/zod-openapi";
import {
  type ChainStep,
  HEADER_APP,
  HEADER_BOOT,
  HEADER_INSTANCE,
  HEADER_LOCAL,
  HEADER_SDK,
  HEADER_SENT,
  INSTANCE_PATH,
  type Rule,
  type Snapshot,
  SNAPSHOT_PATH,
} from "../../../sdk-client/src/wire/protocol.ts";
import {
  type DeniedWant,
  type GrantedLease,
  type LeaseAnswer,
  type LeaseRequest,
  LEASES_PATH,
  type LeaseState,
  type LeaseWant,
  MAX_LEASES_PER_RECORD,
  MAX_LEASES_PER_REQUEST,
  MAX_WANTS_PER_REQUEST,
} from "../../../sdk-client/src/wire/lease-protocol.ts";
import {
  BATCH_STATES,
  type BatchNews,
  CANCEL_OUTCOMES,
  MAX_BATCHES_PER_REPORT,
  MAX_RECORDS_PER_BATCH,
  OUTCOMES,
  USAGE_PATH,
  type UsageAnswer,
  type UsageBatch,
} from "../../../sdk-client/src/wire/usage-protocol.ts";
import { chainStepSchema } from "../../api/chain-step.ts";
import { type Api, body, json, problem } from "../openapi.ts";
import { ruleSchema } from "../../api/rule.ts";

const switchState = z.enum(["on", "off"]);
const step: z.ZodType<ChainStep> = chainStepSchema;
const rule: z.ZodType<Rule> = ruleSchema;
const revision = z.string().openapi({ example: "k3f9.42", description: "`<lineage>.<n>`" });
const count = z.number().int().min(0);

const callLimits = z.strictObject({
  concurrent: z.number().optional(),
  requestsPerMinute: z.number().optional(),
  tokensPerDay: z.number().optional(),
});

const snapshotFlag = z
  .strictObject({
    state: switchState,
    cause: z.enum(["manual", "trigger", "budget"]).optional(),
    level: z.number().openapi({ description: "First step of the chain that may be used now; 0 is full quality." }),
    chain: z.string().nullable(),
    rollout: z.number(),
    ramp: z.number().nullable(),
    salt: z.string(),
    rules: z.array(rule),
    offMode: z.enum(["error", "message"]),
    offMessage: z.string().nullable(),
    abortInFlight: z.boolean(),
    clampMaxTokens: z.boolean(),
    chainOnly: z.boolean(),
    limits: z
      .strictObject({ flag: callLimits.optional(), user: callLimits.optional(), session: callLimits.optional() })
      .optional()
      .openapi({ description: "Each instance counts its own calls." }),
    maxInputBytes: z.number().optional(),
    maxOutputTokens: z.number().optional(),
  })
  .openapi("SnapshotFlag");

const snapshotBudget = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    flag: z.string().optional(),
    flags: z.array(z.string()).optional().openapi({ description: "In place of `flag`: those with the budget's tag." }),
    model: z.string().optional(),
    user: z.string().optional(),
    session: z.string().optional(),
    enforcement: z.enum(["trip", "reserve"]),
    onUnavailable: z.enum(["allow", "deny"]),
    reserveWaitMs: z.number(),
    minTokens: z.number(),
    whenHeld: z.literal("stepDown").optional(),
  })
  .openapi("SnapshotBudget");

const subjectBudget = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    flags: z.array(z.string()).optional().openapi({ description: "Left out: all flags." }),
    model: z.string().optional().openapi({ description: "A downgrade goes past it." }),
    user: z.string().optional(),
    session: z.string().optional(),
    limitNanoUsd: count.optional().openapi({ description: "Of each of them, in a window of `period`." }),
    period: z.enum(["hour", "day", "week", "month"]).optional(),
  })
  .openapi("SubjectBudget", { description: "`user` and `session` are one id, or `each`." });

const verdict = z
  .strictObject({
    n: count.openapi({ description: "Its place in the log." }),
    budgetId: z.string(),
    subject: z.string().openapi({
      description: "The user or session; of a budget about both `<length of the user>:<user><session>`.",
    }),
    action: z.enum(VERDICT_ACTIONS),
    level: z.number().optional().openapi({ description: "Of a downgrade; left out: one further than its flag." }),
    until: z.iso.datetime(),
  })
  .openapi("Verdict", { description: "The newest about a subject of a budget holds, until its `until`." });

/** What is new in the log of verdicts. */
export const verdictsSchema = z
  .strictObject({
    n: count.openapi({ description: "The end of the log: the next `after`." }),
    lineage: z.string(),
    full: z.boolean().openapi({ description: "True: all that holds; what is not in here is to be forgotten." }),
    verdicts: z.array(verdict),
  })
  .openapi("Verdicts");

/** The state of one environment at one revision. */
export const snapshotSchema = z
  .strictObject({
    version: z.literal(1),
    environment: z.string(),
    revision,
    committedAtMs: z.number().openapi({ description: "Unix time in milliseconds." }),
    master: z.strictObject({ state: switchState }),
    flags: z.record(z.string(), snapshotFlag),
    chains: z.record(z.string(), z.strictObject({ steps: z.array(step) })),
    blockedModels: z.array(z.string()),
    breakers: z
      .array(
        z.strictObject({
          model: z.string(),
          probeShare: z.number().openapi({ description: "From 0 to 1: that share of its calls probes it." }),
        }),
      )
      .optional()
      .openapi({ description: "Models that a breaker has taken out, in the order in which it did." }),
    prices: z.array(z.looseObject({ model: z.string(), validFrom: z.string() })).optional(),
    aliases: z.record(z.string(), z.string()).optional(),
    budgets: z.array(snapshotBudget).optional().openapi({ description: "Budgets that clients enforce." }),
    subjectBudgets: z.array(subjectBudget).optional().openapi({
      description: "Budgets about users or sessions. What they mean for one of them is told by verdicts.",
    }),
  })
  .openapi("Snapshot", { description: "Clients ignore fields that they do not know." });

const record = z
  .object({
    id: z.string(),
    at: z.number().openapi({ description: "When the attempt ended, Unix time in milliseconds." }),
    flag: z.string(),
    model: z.string().openapi({ description: "The model that was sent." }),
    requestedModel: z.string().openapi({ description: "The model that the caller asked for." }),
    outcome: z.enum(OUTCOMES),
    exact: z.boolean().openapi({ description: "The provider's own final usage; else an estimate." }),
    usage: z.object({
      input: count,
      output: count,
      cacheWrite5m: count,
      cacheWrite1h: count,
      cacheRead: count,
      webSearches: count,
    }),
    batch: z.boolean().optional(),
    fast: z.boolean().optional(),
    geo: z.string().optional(),
    stopReason: z.string().optional(),
    errorType: z.string().optional(),
    status: z.number().optional(),
    attempt: z.number().int().min(1),
    latencyMs: z.number(),
    firstTokenMs: z.number().optional(),
    requestId: z.string().optional(),
    user: z.string().optional(),
    session: z.string().optional(),
    correlationId: z.string().optional(),
    systemHash: z.string().optional(),
    revision: revision.optional(),
    count: z.number().int().min(1).optional().openapi({ description: "Attempts that this record sums up." }),
    promptTokens: count.optional(),
    part: z.string().optional(),
    leases: z
      .array(z.object({ leaseId: z.string(), nanoUsd: count }))
      .max(MAX_LEASES_PER_RECORD)
      .optional()
      .openapi({ description: "What its calls spent of the leases that they had money set aside in." }),
    once: z.boolean().optional().openapi({ description: "Counts once by its `id`, in whichever batches it comes." }),
    runtimeMs: count
      .optional()
      .openapi({ description: "How long a managed agent's session ran: priced beside tokens." }),
    messageBatch: z.string().optional().openapi({
      description:
        "The message batch that it is a result of, or (`part` `batch`) the estimate of: it counts as of the batch's submission.",
    }),
  })
  .openapi("UsageRecord", { description: "One attempt at one model call. Never content." });

const batchNews = z
  .object({
    id: z.string().openapi({ description: "The provider's id." }),
    flag: z.string().optional(),
    state: z.enum(BATCH_STATES).openapi({
      description: "`settled`: it has ended, and all its results have been read, or none was answered.",
    }),
    at: z.number().optional().openapi({ description: "When it was submitted, Unix time in milliseconds." }),
    requests: count.optional(),
    cancel: z.object({ outcome: z.enum(CANCEL_OUTCOMES), detail: z.string() }).optional(),
  })
  .openapi("BatchNews");

/** A batch as clients send it. */
export const usageBatchSchema = z
  .object({
    batchId: z.string().openapi({ description: "The same one again counts nothing twice." }),
    instance: z.string(),
    records: z.array(record).max(MAX_RECORDS_PER_BATCH),
    checks: z
      .record(z.string(), z.object({ on: count, off: count, sdk: z.string().optional(), limited: count.optional() }))
      .optional()
      .openapi({
        description: "How often each flag was evaluated since the last batch, and how many calls its limits refused.",
      }),
    runningNanoUsd: z.record(z.string(), count).optional().openapi({
      description:
        "By flag, the most that the calls can still cost that run now, or wait for this batch's answer to begin: nano-USD.",
    }),
    unansweredNanoUsd: z.record(z.string(), count).optional().openapi({
      description: "By flag, of calls that began without being told of, because no answer came in time: nano-USD.",
    }),
    messageBatches: z.array(batchNews).max(MAX_BATCHES_PER_REPORT).optional().openapi({
      description: "What is new of message batches. Also when empty it says that this client can have some canceled.",
    }),
  })
  .openapi("UsageBatch");

/** What a batch is answered with, after commit. */
export const usageAnswerSchema = z
  .strictObject({
    accepted: count,
    duplicate: z.boolean(),
    rejected: z.array(z.strictObject({ index: z.number(), path: z.string(), message: z.string() })),
    revision,
    credits: z
      .array(z.strictObject({ budgetId: z.string(), nanoUsd: count }))
      .optional()
      .openapi({ description: "What calls may begin for until the next batch is answered, by their worst cases." }),
    verdicts: z.array(verdict).optional().openapi({ description: "About users and sessions of these records." }),
    cancelBatches: z.array(z.string()).optional().openapi({
      description: "Message batches that this client is to ask the provider to cancel, by the provider's ids.",
    }),
  })
  .openapi("UsageAnswer");

const leaseState = z.object({
  leaseId: z.string(),
  spentNanoUsd: count.openapi({ description: "Of calls that ended, as the client prices them." }),
  releasedNanoUsd: count.openapi({ description: "Given back for good." }),
  inFlightNanoUsd: count.openapi({ description: "Set aside for calls that run." }),
});
const leaseWant = z.object({
  budgetId: z.string(),
  subject: z.string().optional(),
  nanoUsd: count,
  atLeastNanoUsd: count
    .optional()
    .openapi({ description: "What the call that waits lacks; `nanoUsd` when left out. 0 asks ahead and never waits." }),
  sinceMs: z.number().openapi({ description: "Since when that call waits, Unix milliseconds by the client's clock." }),
});

/** What a client says of its leases, and asks for. */
export const leaseRequestSchema = z
  .object({
    requestId: z.string().openapi({ description: "The same one again is granted nothing twice." }),
    instance: z.string(),
    wants: z.array(leaseWant).max(MAX_WANTS_PER_REQUEST),
    leases: z.array(leaseState).max(MAX_LEASES_PER_REQUEST),
  })
  .openapi("LeaseRequest", { description: "All sums are cumulative, in nano-USD, and repeated in every request." });

const grantedLease = z.strictObject({
  leaseId: z.string(),
  budgetId: z.string(),
  subject: z.string().optional(),
  grantedNanoUsd: count.openapi({ description: "All that was ever granted on it." }),
  ttlMs: count.openapi({
    description:
      "Counted from when the request was sent. 0: start nothing from it, give back what is idle, and settle the rest.",
  }),
});
const deniedWant = z.strictObject({
  budgetId: z.string(),
  subject: z.string().optional(),
  because: z.enum(["held", "spent", "tooLarge"]),
  until: z.string().optional().openapi({ description: "When the window ends." }),
  restNanoUsd: count.openapi({ description: "The limit less what is spent for good." }),
  heldNanoUsd: count.openapi({ description: "Of that, what leases hold." }),
  holders: count,
});

/** What was granted, and what was not, with why. */
export const leaseAnswerSchema = z
  .strictObject({
    leases: z.array(grantedLease),
    denied: z.array(deniedWant),
    scarce: z.array(z.string()).openapi({ description: "Budgets in which somebody waits: give back what is idle." }),
  })
  .openapi("LeaseAnswer");

// A field that the wire types gain and this page lacks does not compile.
type Described<Wire, Schema extends z.ZodType> =
  Exclude<keyof Wire, keyof z.infer<Schema>> extends never ? true : never;
const isWhole: [
  Described<Snapshot, typeof snapshotSchema>,
  Described<Snapshot["flags"][string], typeof snapshotFlag>,
  Described<UsageBatch, typeof usageBatchSchema>,
  Described<UsageBatch["records"][number], typeof record>,
  Described<BatchNews, typeof batchNews>,
  Described<UsageAnswer, typeof usageAnswerSchema>,
  Described<LeaseRequest, typeof leaseRequestSchema>,
  Described<LeaseWant, typeof leaseWant>,
  Described<LeaseState, typeof leaseState>,
  Described<LeaseAnswer, typeof leaseAnswerSchema>,
  Described<GrantedLease, typeof grantedLease>,
  Described<DeniedWant, typeof deniedWant>,
  Described<VerdictsAnswer, typeof verdictsSchema>,
  Described<Verdict, typeof verdict>,
  Described<SubjectBudget, typeof subjectBudget>,
] = [true, true, true, true, true, true, true, true, true, true, true, true, true, true, true];
void isWhole;

const header = (name: string, description: string) =>
  z
    .string()
    .optional()
    .openapi({ param: { name, in: "header", description } });
const instanceHeader = header(HEADER_INSTANCE, "Name of this process; must be unique.");
const bootHeader = header(HEADER_BOOT, "New for each process: two under one name are counted as two.");

const COMMON = {
  description: "Needs an `sdk` token.",
  "x-andon-needs": "sdk",
};
const tags = ["Clients"];
const security = [{ token: [] }];
const PROBLEMS = {
  401: problem("No valid `sdk` token."),
  503: problem("Not ready, or the database is away. `Retry-After` says when to try again."),
} as const;

/** Adds the client's routes to the documentation of `api`. */
export function documentSdk(api: Api): void {
  api.openAPIRegistry.registerPath({
    ...COMMON,
    tags,
    security,
    method: "get",
    path: SNAPSHOT_PATH,
    operationId: "pollSnapshot",
    summary: "The state of the token's environment; parked until it changes, if asked to",
    request: {
      headers: z.object({
        "If-None-Match": header("If-None-Match", "The revision that this process decides by: its receipt."),
        Prefer: header("Prefer", "`wait=25`: answer when there is news, after 25 seconds at most."),
        [HEADER_INSTANCE]: instanceHeader,
        [HEADER_BOOT]: bootHeader,
        [HEADER_APP]: header(HEADER_APP, "Name of the application."),
        [HEADER_SDK]: header(HEADER_SDK, "Name and version of the client."),
        [HEADER_LOCAL]: header(HEADER_LOCAL, "What `ANDON_KILL` holds off here: flag keys, or `*`."),
      }),
    },
    responses: {
      200: json(snapshotSchema, "The state, with its revision as `ETag`."),
      304: { description: "Nothing newer than the `If-None-Match`." },
      ...PROBLEMS,
    },
  });
  api.openAPIRegistry.registerPath({
    ...COMMON,
    tags,
    security,
    method: "post",
    path: USAGE_PATH,
    operationId: "reportUsage",
    summary: "What calls used; answered after it is counted, and counted once",
    request: {
      ...body(usageBatchSchema),
      headers: z.object({
        [HEADER_SENT]: header(
          HEADER_SENT,
          "The client's clock now, Unix milliseconds: records are read by how far off it is.",
        ),
      }),
    },
    responses: {
      200: json(usageAnswerSchema, "What was counted, and what was refused of it."),
      413: problem("The body is too large."),
      422: problem("The batch itself is invalid. A faulty record is refused alone, in `rejected`."),
      429: problem("More than this token's share under load. Nothing of it was counted."),
      ...PROBLEMS,
    },
  });
  api.openAPIRegistry.registerPath({
    ...COMMON,
    tags,
    security,
    method: "post",
    path: LEASES_PATH,
    operationId: "askForLeases",
    summary: "Money of `reserve` budgets to set aside for calls: what became of it, and what is asked for",
    request: {
      ...body(leaseRequestSchema),
      headers: z.object({
        Prefer: header("Prefer", "`wait=2`: wait in the queue, or until others need what is idle; 2 seconds at most."),
        [HEADER_SENT]: header(HEADER_SENT, "The client's clock now, Unix milliseconds."),
      }),
    },
    responses: {
      200: json(leaseAnswerSchema, "What was granted, and what was not, with why."),
      413: problem("The body is too large."),
      422: problem("The request is invalid. Nothing of it was taken in."),
      ...PROBLEMS,
    },
  });
  api.openAPIRegistry.registerPath({
    ...COMMON,
    tags,
    security,
    method: "get",
    path: VERDICTS_PATH,
    operationId: "pollVerdicts",
    summary: "What budgets mean for users and sessions: what is new in the log; parked until something is, if asked to",
    request: {
      query: z.object({
        after: z.string().optional().openapi({ description: "The `n` that this process has; left out: nothing." }),
        lineage: z.string().optional().openapi({ description: "Of that `n`." }),
      }),
      headers: z.object({
        Prefer: header("Prefer", "`wait=25`: answer when there is news, after 25 seconds at most."),
      }),
    },
    responses: {
      200: json(verdictsSchema, "The log after `after`, or all that holds."),
      422: problem("`after` is no number."),
      ...PROBLEMS,
    },
  });
  api.openAPIRegistry.registerPath({
    ...COMMON,
    tags,
    security,
    method: "delete",
    path: INSTANCE_PATH,
    operationId: "stopInstance",
    summary: "Goodbye: this process has stopped, and is waited for no more",
    request: { headers: z.object({ [HEADER_INSTANCE]: instanceHeader, [HEADER_BOOT]: bootHeader }) },
    responses: { 204: { description: "Noted." }, 422: problem("No name of an instance."), ...PROBLEMS },
  });
}
