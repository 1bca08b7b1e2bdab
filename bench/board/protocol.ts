/** What the crowd is told, and what it tells. */
import { z } from "zod";

export const crowdTaskSchema = z.object({
  url: z.string(),
  sdkToken: z.string(),
  cookie: z.string(),
  boards: z.number(),
  /** Calls of the flags `feature-0` … are reported all the time; 0: none. */
  callingFlags: z.number(),
  /** Times at which the crowd says what it has received, in seconds from when all boards are open. */
  tellAtSeconds: z.array(z.number()),
});
export type CrowdTask = z.infer<typeof crowdTaskSchema>;

export const crowdToldSchema = z.object({
  /** Bytes read from all boards together since they were open, heads included. */
  bytes: z.number(),
  /** Answers with news. */
  answers: z.number(),
  /** Records of calls that were acknowledged. */
  records: z.number(),
  seconds: z.number(),
});
export type CrowdTold = z.infer<typeof crowdToldSchema>;
