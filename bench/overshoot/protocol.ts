/** What the processes of `overshoot.*` tell each other. */
import { z } from "zod";

export const FLAG = "assistant";
export const MODEL = "claude-opus-5-5";
/** With each call: what it will use and how long it takes, for the endpoint; see {@link Call}. */
export const HEADER_CALL = "x-bench-call";
/** Of the endpoint, beside the Messages API. */
export const BILL_PATH = "/bench/bill";

/** What one call is and comes to. Tokens, and milliseconds as they pass in the run. */
export const callSchema = z.object({
  promptBytes: z.number(),
  maxTokens: z.number(),
  input: z.number(),
  cacheRead: z.number(),
  output: z.number(),
  tookMs: z.number(),
});
export type Call = z.infer<typeof callSchema>;

export const WORKLOADS = ["chat", "agent", "worst", "step", "quiet"] as const;
export type Workload = (typeof WORKLOADS)[number];

/** For the endpoint: from now on another bill. */
export const billTaskSchema = z.object({ limitNanoUsd: z.number() });
export const billSchema = z.object({
  nanoUsd: z.number(),
  calls: z.number(),
  running: z.number(),
  /** When the bill passed the limit, and when the last call arrived: Unix time in milliseconds; null for never. */
  passedAtMs: z.number().nullable(),
  lastArrivalAtMs: z.number().nullable(),
  /** Calls that arrived after the bill had passed the limit, and after how long, in milliseconds. */
  lateMs: z.array(z.number()),
});
export type Bill = z.infer<typeof billSchema>;

export const clientTaskSchema = z.object({
  url: z.string(),
  token: z.string(),
  endpointUrl: z.string(),
  instance: z.string(),
  workload: z.enum(WORKLOADS),
  callers: z.number(),
  seed: z.number(),
  traceFile: z.string().nullable(),
  /** Callers of this process stop for good after so long; null: never. */
  quietAfterMs: z.number().nullable(),
  /** They start at once, not spread over a moment. */
  isStep: z.boolean(),
});
export type ClientTask = z.infer<typeof clientTaskSchema>;

export const readySchema = z.object({ ready: z.literal(true) });
/** How the calls of one process went. */
export const resultSchema = z.object({
  answered: z.number(),
  failed: z.record(z.string(), z.number()),
  /** By why: `TRIPPED`, `BUDGET held`. */
  refused: z.record(z.string(), z.number()),
  /** Beyond what the endpoint took, milliseconds a call. */
  overMs: z.array(z.number()),
});
export type ClientResult = z.infer<typeof resultSchema>;
