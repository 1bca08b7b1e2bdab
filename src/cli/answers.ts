/** What the commands read of the API's answers. Unknown fields are ignored, so that an older command works with a newer server. */
import { z } from "zod";

/** What holds now, and by what. Kinds that this command does not know are told without their cause. */
const standing = z.looseObject({
  state: z.string(),
  since: z.string(),
  cause: z.looseObject({
    kind: z.string(),
    by: z.string().nullable(),
    reason: z.string().nullable(),
    at: z.string().nullable(),
    until: z.string().nullable(),
    budget: z.looseObject({ id: z.string(), name: z.string() }).nullable(),
    atPercent: z.number().nullable(),
    models: z.array(z.string()),
  }),
  heldSince: z.string().nullable(),
  began: z.string().nullable(),
  over: z
    .looseObject({
      budget: z.looseObject({ name: z.string() }),
      spentNanoUsd: z.number(),
      limitNanoUsd: z.number(),
    })
    .nullable(),
});

export const flagAnswer = z.looseObject({
  key: z.string(),
  switch: z.looseObject({
    state: z.enum(["on", "off"]),
    reason: z.string().nullable(),
    by: z.string().nullable(),
    since: z.string(),
    until: z.string().nullable(),
    ramp: z.number().nullable(),
  }),
  rollout: z.number().default(100),
  steps: z.array(z.looseObject({ model: z.string() })).default([]),
  level: z.looseObject({
    level: z.number(),
    manual: z
      .looseObject({
        level: z.number().default(0),
        reason: z.string().nullable(),
        by: z.string(),
        since: z.string(),
        until: z.string().nullable(),
      })
      .nullable(),
  }),
  trips: z
    .array(
      z.looseObject({
        id: z.string(),
        action: z.string(),
        level: z.number().nullable(),
        atPercent: z.number(),
        budget: z.looseObject({ id: z.string().default(""), name: z.string() }),
        since: z.string(),
        until: z.string().nullable(),
      }),
    )
    .default([]),
  effective: z.looseObject({ state: z.string(), reason: z.string(), model: z.string().nullable() }),
  sends: z.array(z.looseObject({ model: z.string(), why: z.string() })).default([]),
  /** Absent from servers before 0.2. */
  standing: standing.optional(),
});
export type FlagAnswer = z.infer<typeof flagAnswer>;

/** What is left of a budget's ladder. */
export const budgetAnswer = z.looseObject({
  enforcement: z.string(),
  ladder: z.array(z.looseObject({ atPercent: z.number(), action: z.string() })),
  now: z.looseObject({ spentNanoUsd: z.number(), limitNanoUsd: z.number() }),
});
export type BudgetAnswer = z.infer<typeof budgetAnswer>;

export const flagsAnswer = z.looseObject({ items: z.array(flagAnswer), revision: z.string() });
/** Null when the call changed nothing. */
const auditId = z.number().nullable().optional();
export const switchedFlagAnswer = flagAnswer.extend({ revision: z.string(), auditId });

export const masterAnswer = z.looseObject({
  state: z.enum(["on", "off"]),
  reason: z.string().nullable(),
  by: z.string().nullable(),
  since: z.string(),
  until: z.string().nullable(),
  revision: z.string(),
  auditId,
});
export type MasterAnswer = z.infer<typeof masterAnswer>;

export const modelAnswer = z.looseObject({
  model: z.string(),
  blocked: z.boolean(),
  warnings: z.array(z.string()).default([]),
  revision: z.string(),
  auditId,
});
export const modelsAnswer = z.looseObject({
  items: z.array(
    z.looseObject({
      model: z.string(),
      blocked: z.boolean(),
      reason: z.string().nullable(),
      by: z.string().nullable(),
      since: z.string().nullable(),
    }),
  ),
});

export const noteAnswer = z.looseObject({ revision: z.string() });

export const unknownFlagsAnswer = z.looseObject({
  items: z.array(
    z.looseObject({
      key: z.string(),
      askedAt: z.string(),
      instance: z.string(),
      app: z.string().nullable(),
      meant: z.string().nullable(),
    }),
  ),
});
export type UnknownFlagAnswer = z.infer<typeof unknownFlagsAnswer>["items"][number];

const lateInstance = z.looseObject({
  instance: z.string(),
  lastSeen: z.string(),
  silentSeconds: z.number(),
  /** Seconds since its connection was lost without a goodbye; absent from older servers. */
  disconnectedSeconds: z.number().nullable().default(null),
});
export type LateInstance = z.infer<typeof lateInstance>;
export const receiptsAnswer = z.looseObject({
  revision: z.string(),
  applied: z.number(),
  live: z.number(),
  stragglers: z.array(lateInstance),
  silent: z.array(lateInstance),
  lastMs: z.number().nullable(),
  // Absent from older servers.
  behind: z.number().optional(),
  lost: z.number().default(0),
  lostInstances: z.array(z.string()).default([]),
  local: z.number().default(0),
  localInstances: z.array(z.string()).default([]),
  notCounted: z.array(z.looseObject({ token: z.string(), because: z.string(), atLeast: z.number() })).default([]),
});
export type ReceiptsAnswer = z.infer<typeof receiptsAnswer>;

export const instancesAnswer = z.looseObject({
  items: z.array(
    z.looseObject({
      // Absent from servers before 0.2.
      id: z.string().default(""),
      instance: z.string(),
      app: z.string().nullable(),
      revision: z.string().nullable(),
      state: z.string(),
      silentSeconds: z.number(),
      disconnectedSeconds: z.number().nullable().default(null),
      local: z.array(z.string()).nullable().default(null),
      declaredDead: z.looseObject({ by: z.string(), at: z.string() }).nullable().default(null),
    }),
  ),
  live: z.number(),
  lost: z.number().default(0),
  silent: z.number(),
  stopped: z.number(),
  local: z.number().default(0),
  at: z.string().optional(),
});
export type InstancesAnswer = z.infer<typeof instancesAnswer>;
export const declaredAnswer = z.looseObject({
  instances: z.array(z.string()),
  declared: z.number(),
  revision: z.string(),
});

export const auditAnswer = z.looseObject({
  items: z.array(
    z.looseObject({
      id: z.number(),
      at: z.string(),
      actor: z.looseObject({ name: z.string() }),
      action: z.string(),
      target: z.looseObject({ kind: z.string(), key: z.string() }),
      reason: z.string().nullable(),
    }),
  ),
});
export type AuditAnswer = z.infer<typeof auditAnswer>;
