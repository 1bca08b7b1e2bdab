/** Which fields of the API's resources the commands go by. All others are shown with `--json`, and never missed. */
import { drillSchema } from "../api/drill.ts";
import { z } from "zod";
import { auditSchema, auditVerifiedSchema } from "../api/audit.ts";
import { budgetSchema, changedBudgetSchema } from "../api/budget.ts";
import {
  flagSchema,
  switchedFlagSchema,
  switchedTagSchema,
  taggedFlagsSchema,
  unknownFlagsSchema,
} from "../api/flag.ts";
import { declaredSchema, instancesSchema, receiptsSchema } from "../api/instance.ts";
import { acknowledgedSchema, incidentSchema, resolvedSchema } from "../api/incident.ts";
import { deletedSchema, listOf, pageOf } from "../api/list.ts";
import { switchedMasterSchema } from "../api/master.ts";
import { changedModelSchema, modelResourceSchema } from "../api/model.ts";
import { changedPriceAtSchema, priceSchema } from "../api/price.ts";
import { usageSchema } from "../api/usage.ts";
import { reconciliationSchema } from "../api/reconciliation.ts";
import { tolerant } from "./tolerant.ts";

const FLAG = {
  key: true,
  switch: true,
  rollout: true,
  steps: true,
  level: true,
  trips: true,
  effective: true,
  sends: true,
  standing: true,
  limits: true,
  maxInputBytes: true,
  maxOutputTokens: true,
  clampMaxTokens: true,
} as const;
/** What servers before 0.2 do not tell; nor do they tell a standing. */
const OLDER_FLAG = {
  rollout: 100,
  steps: [],
  trips: [],
  sends: [],
  limits: {},
  maxInputBytes: null,
  maxOutputTokens: null,
  clampMaxTokens: false,
};

export const flagAnswer = tolerant(flagSchema.pick(FLAG).partial({ standing: true }), OLDER_FLAG);
export type FlagAnswer = z.infer<typeof flagAnswer>;
export const flagsAnswer = listOf(flagAnswer);

export const switchedFlagAnswer = tolerant(
  switchedFlagSchema.pick({ ...FLAG, revision: true, auditId: true }).partial({ standing: true, auditId: true }),
  OLDER_FLAG,
);

export const taggedAnswer = tolerant(
  taggedFlagsSchema.pick({ tag: true, revision: true }).extend({ items: z.array(flagAnswer) }),
);
export const switchedTagAnswer = tolerant(
  switchedTagSchema
    .pick({ tag: true, refused: true, revision: true })
    .extend({ items: z.array(z.object({ flag: flagAnswer, auditId: z.number().nullable() })) }),
);
export type SwitchedTagAnswer = z.infer<typeof switchedTagAnswer>;

/** What is left of a budget's ladder. */
export const budgetAnswer = tolerant(budgetSchema.pick({ enforcement: true, ladder: true, now: true }));
export type BudgetAnswer = z.infer<typeof budgetAnswer>;

const BUDGET = {
  id: true,
  name: true,
  scope: true,
  period: true,
  enforcement: true,
  ladder: true,
  raises: true,
  paused: true,
  now: true,
} as const;
/** What servers before this release do not tell. */
const OLDER_BUDGET = { paused: false };
const budgetLine = tolerant(budgetSchema.pick(BUDGET), OLDER_BUDGET);
export type BudgetLine = z.infer<typeof budgetLine>;
export const budgetsAnswer = listOf(budgetLine);
export const raisedAnswer = tolerant(changedBudgetSchema.pick({ ...BUDGET, revision: true }), OLDER_BUDGET);

/** What on-call is told of now. */
const openIncident = tolerant(incidentSchema.pick({ title: true, account: true }), { account: null });
export const openIncidents = tolerant(z.object({ items: z.array(openIncident) }));

export const usageAnswer = tolerant(
  usageSchema.pick({
    from: true,
    to: true,
    groupBy: true,
    bucket: true,
    source: true,
    items: true,
    rest: true,
    unknown: true,
  }),
  { unknown: [] },
);
export type UsageAnswer = z.infer<typeof usageAnswer>;

export const reconciliationAnswer = tolerant(
  reconciliationSchema.pick({ configured: true, scope: true, poll: true, days: true, unmappedNanoUsd: true }),
);
export type ReconciliationLines = z.infer<typeof reconciliationAnswer>;

const priceLine = tolerant(priceSchema, { reason: null, inForce: true, note: null });
export type PriceLine = z.infer<typeof priceLine>;
export const pricesAnswer = listOf(priceLine);
export const putPriceAnswer = tolerant(changedPriceAtSchema);
export type PutPriceAnswer = z.infer<typeof putPriceAnswer>;

/** Null: the call changed nothing. Absent: it changes nothing, or an older server does not say. */
export const masterAnswer = tolerant(switchedMasterSchema.partial({ auditId: true }));
export type MasterAnswer = z.infer<typeof masterAnswer>;

export const modelAnswer = tolerant(
  changedModelSchema
    .pick({ model: true, blocked: true, warnings: true, revision: true, auditId: true })
    .partial({ auditId: true }),
  { warnings: [] },
);
export const modelsAnswer = tolerant(listOf(modelResourceSchema));

export const noteAnswer = tolerant(deletedSchema);

const unknown = unknownFlagsSchema.shape.items.element.omit({ isKey: true });
export const unknownFlagsAnswer = tolerant(
  unknownFlagsSchema.pick({ items: true }).extend({ items: z.array(unknown) }),
);
export type UnknownFlagAnswer = z.infer<typeof unknownFlagsAnswer>["items"][number];

export const receiptsAnswer = tolerant(
  receiptsSchema
    .pick({
      revision: true,
      applied: true,
      live: true,
      stragglers: true,
      behind: true,
      lost: true,
      lostInstances: true,
      local: true,
      localInstances: true,
      silent: true,
      notCounted: true,
      lastMs: true,
    })
    .partial({ behind: true }),
  { lost: 0, lostInstances: [], local: 0, localInstances: [], notCounted: [] },
);
export type ReceiptsAnswer = z.infer<typeof receiptsAnswer>;
export type LateInstance = ReceiptsAnswer["stragglers"][number];

export const instancesAnswer = tolerant(
  instancesSchema
    .pick({ items: true, live: true, lost: true, silent: true, stopped: true, local: true, at: true })
    .partial({ at: true }),
  { lost: 0, local: 0 },
);
export type InstancesAnswer = z.infer<typeof instancesAnswer>;
export const declaredAnswer = tolerant(declaredSchema);

const INCIDENT = {
  id: true,
  title: true,
  openedAt: true,
  acknowledgedAt: true,
  acknowledgedBy: true,
  resolvedAt: true,
} as const;
const incidentLine = incidentSchema.pick({ ...INCIDENT, askedSince: true }).partial({ askedSince: true });
export const incidentsAnswer = tolerant(pageOf(incidentLine).pick({ items: true }));
export type IncidentLine = z.infer<typeof incidentLine>;
export const acknowledgedAnswer = tolerant(acknowledgedSchema);
export const resolvedAnswer = tolerant(resolvedSchema);

const entry = auditSchema
  .pick({ id: true, at: true, action: true, target: true, reason: true })
  .extend({ actor: auditSchema.shape.actor.pick({ name: true }) });
export const auditAnswer = tolerant(pageOf(entry).pick({ items: true }));
export type AuditAnswer = z.infer<typeof auditAnswer>;

export const drillAnswer = tolerant(drillSchema);
export type DrillAnswer = z.infer<typeof drillAnswer>;
export const auditVerifiedAnswer = tolerant(auditVerifiedSchema);
export type AuditVerifiedAnswer = z.infer<typeof auditVerifiedAnswer>;
