/** A flag's checklist before launch. */
import { z } from "@hono/zod-openapi";
import { READINESS_STATES } from "../domain/readiness.ts";
import { time } from "./fields.ts";

export const readinessSchema = z
  .object({
    flag: z.string(),
    ok: z.number().openapi({ description: "Lines that are so." }),
    of: z.number(),
    provenAt: time.nullable().openapi({ description: "When a drill last proved its kill switch; null: never." }),
    lines: z.array(
      z.object({
        check: z.string(),
        title: z.string(),
        state: z.enum(READINESS_STATES).openapi({
          description: "`unknown`: Andon cannot see it, or has heard nothing of late; it is not taken to be well.",
        }),
        says: z.string(),
        todo: z.string().nullable(),
      }),
    ),
  })
  .openapi("Readiness");
export type Readiness = z.infer<typeof readinessSchema>;
