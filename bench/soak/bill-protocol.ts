/** What the process of the bill's callers is told and tells. */
import { z } from "zod";

export const billTaskSchema = z.object({
  url: z.string(),
  token: z.string(),
  /** Of the endpoint that keeps the bill, and of a port where nobody listens. */
  endpointUrl: z.string(),
  deadUrl: z.string(),
  flags: z.array(z.string()),
  calls: z.number(),
  /** Calls that run at once. */
  concurrent: z.number(),
  seed: z.number(),
});
export type BillTask = z.infer<typeof billTaskSchema>;

/** What the guard recorded of one attempt, told as it is recorded. */
const recordedSchema = z.object({
  kind: z.literal("recorded"),
  flag: z.string(),
  /** Null where a record does not tell: a result of a batch. */
  call: z.string().nullable(),
  /** What the endpoint calls the request; null when nothing of its answer arrived. */
  request: z.string().nullable(),
  costNanoUsd: z.number(),
  exact: z.boolean(),
  /** The record itself, for the words of a fault. */
  record: z.string(),
});

/** A call that is over: by which door it went, and how it ended. */
const endedSchema = z.object({
  kind: z.literal("ended"),
  call: z.string(),
  door: z.string(),
  /** The kind of the request. */
  asked: z.string(),
  end: z.string(),
  tookMs: z.number(),
  /** What is wrong with that end; null for nothing. */
  fault: z.string().nullable(),
});

/** All calls are over; their usage waits to be taken by the server. */
const callsDoneSchema = z.object({ kind: z.literal("callsDone") });

/** The client is closed; the process ends by itself, or does not. */
const closedSchema = z.object({
  kind: z.literal("closed"),
  unhandled: z.array(z.string()),
  /** Of the guard, still running. */
  running: z.array(z.string()),
  dropped: z.number(),
  waiting: z.number(),
  /** What holds the event loop: names as `process.getActiveResourcesInfo` has them. */
  resources: z.array(z.string()),
  warmHeapBytes: z.number(),
  endHeapBytes: z.number(),
});
export type Closed = z.infer<typeof closedSchema>;

export const billMessageSchema = z.discriminatedUnion("kind", [
  recordedSchema,
  endedSchema,
  callsDoneSchema,
  closedSchema,
]);
export type BillMessage = z.infer<typeof billMessageSchema>;
