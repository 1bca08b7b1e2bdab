/** What the processes of `kill.last_of_1000` tell each other. */
import { z } from "zod";

export const clientsTaskSchema = z.object({
  url: z.string(),
  token: z.string(),
  adminToken: z.string(),
  killPath: z.string(),
  restorePath: z.string(),
  clients: z.number(),
  rounds: z.number(),
  /** From the last answer until every next poll is parked again; the receipts of Andon are written meanwhile. */
  settleMs: z.number(),
});
export type ClientsTask = z.infer<typeof clientsTaskSchema>;

/** Milliseconds from sending the kill: until it was acknowledged, and until clients had the whole new body. */
export const roundSchema = z.object({
  answeredMs: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
  lastMs: z.number(),
});
export const resultSchema = z.object({ rounds: z.array(roundSchema), bodyBytes: z.number() });
export type Round = z.infer<typeof roundSchema>;
