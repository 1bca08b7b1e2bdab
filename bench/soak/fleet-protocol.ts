/** What the processes of the crowd's fleet are told and tell. */
import { z } from "zod";

export const fleetTaskSchema = z.object({
  url: z.string(),
  token: z.string(),
  generation: z.number(),
  clients: z.number(),
  flags: z.array(z.string()),
});
export type FleetTask = z.infer<typeof fleetTaskSchema>;

/** All clients of the generation decide by this revision; when the last came to, Unix milliseconds. */
export const appliedSchema = z.object({ revision: z.string(), atMs: z.number() });
export type Applied = z.infer<typeof appliedSchema>;
