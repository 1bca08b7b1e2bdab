/** What an application process of the demo and its parent tell each other. Checked on arrival: claims rest on it. */
import { z } from "zod";

/** Ends every answer of the local endpoint; an answer without it was cut. */
export const LAST_WORDS = "That is the whole answer.";

export const appReportSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("ready") }),
  /** A revision was applied. Times are Unix milliseconds; counts are of guarded calls, `aborted` since the start. */
  z.object({
    type: z.literal("applied"),
    revision: z.string(),
    atMs: z.number(),
    aborted: z.number(),
  }),
  z.object({
    type: z.literal("call"),
    flag: z.string(),
    shape: z.enum(["stream", "create"]),
    /** `off`: the guard refused or ended it; `cut`: given out as an answer without being whole. */
    outcome: z.enum(["answered", "off", "cut", "failed"]),
    /** The model that answered. */
    model: z.string().nullable(),
    /** Why it was off, or what failed. */
    detail: z.string().nullable(),
    startedAtMs: z.number(),
    endedAtMs: z.number(),
  }),
]);
export type AppReport = z.infer<typeof appReportSchema>;
export type CallReport = Extract<AppReport, { type: "call" }>;

/** What the parent tells an application: how many agents shall work in it from now on. */
export const appOrderSchema = z.object({ agents: z.number() });
export type AppOrder = z.infer<typeof appOrderSchema>;
