/** What an environment defines now, as the API tells it, beside what of that may not be changed because something is held. */
import { createHash } from "node:crypto";
import type { z } from "zod";
import { budgetSchema } from "../../api/budget.ts";
import { chainSchema } from "../../api/chain.ts";
import { channelSchema } from "../../api/channel.ts";
import { flagSchema } from "../../api/flag.ts";
import { listOf } from "../../api/list.ts";
import type { ApiClient } from "../api-client.ts";
import { tolerant } from "../tolerant.ts";
import { type Definition, type Kind, KINDS, SECTIONS } from "./file.ts";

export interface Kept {
  name: string;
  /** Its segment in paths of the API. */
  id: string;
  version: number;
  definition: Definition;
  /** Why fields may not be changed now: changing them could give back what a person or a budget took. `*`: all. */
  held: ReadonlyMap<string, string>;
}
export type State = Readonly<Record<Kind, Map<string, Kept>>>;

const CHAIN_FIELDS = { steps: true } as const;
const FLAG_FIELDS = {
  name: true,
  description: true,
  owner: true,
  runbookUrl: true,
  chain: true,
  offMode: true,
  offMessage: true,
  abortInFlight: true,
  clampMaxTokens: true,
  chainOnly: true,
  limits: true,
  maxInputBytes: true,
  maxOutputTokens: true,
  tags: true,
  rules: true,
  rollout: true,
  salt: true,
} as const;
const BUDGET_FIELDS = {
  scope: true,
  limitUsd: true,
  period: true,
  timezone: true,
  enforcement: true,
  onUnavailable: true,
  reserveWaitMs: true,
  minTokens: true,
  whenHeld: true,
  ladder: true,
  onReset: true,
  paused: true,
} as const;
const CHANNEL_FIELDS = { kind: true, escalateAfterMinutes: true, minSeverity: true, quietHours: true } as const;

const chainAnswer = tolerant(chainSchema.pick({ ...CHAIN_FIELDS, name: true, version: true, usedBy: true }));
const flagAnswer = tolerant(
  flagSchema
    .pick({ ...FLAG_FIELDS, key: true, version: true, trips: true, level: true, effective: true })
    // Servers before this release do not tell it.
    .partial({ salt: true }),
);
const budgetAnswer = tolerant(budgetSchema.pick({ ...BUDGET_FIELDS, id: true, name: true, version: true, now: true }));
const channelAnswer = tolerant(
  channelSchema.pick({ ...CHANNEL_FIELDS, id: true, name: true, version: true, url: true }),
);
const ANSWERS = { chain: chainAnswer, flag: flagAnswer, budget: budgetAnswer, channel: channelAnswer } as const;
type Flag = z.infer<typeof flagAnswer>;
type Budget = z.infer<typeof budgetAnswer>;

export async function readState(api: ApiClient, base: string): Promise<State> {
  const read = <K extends Kind>(kind: K) => api.call(`${base}/${SECTIONS[kind]}`, listOf(ANSWERS[kind]));
  const flags = await read("flag");
  const chains = await read("chain");
  const budgets = await read("budget");
  const channels = await read("channel");
  return {
    chain: byName(chains.items.map((chain) => keptChain(chain, flags.items))),
    flag: byName(flags.items.map(keptFlag)),
    budget: byName(budgets.items.map(keptBudget)),
    channel: byName(channels.items.map(keptChannel)),
  };
}

/** What the answer to a change says of it now. What is held by then is no matter: it is done. */
export function answerOf(kind: Kind): z.ZodType<Kept> {
  switch (kind) {
    case "chain":
      return chainAnswer.transform((chain) => keptChain(chain, []));
    case "flag":
      return flagAnswer.transform(keptFlag);
    case "budget":
      return budgetAnswer.transform(keptBudget);
    case "channel":
      return channelAnswer.transform(keptChannel);
  }
}

/** One text for all that is defined: two environments with the same one are defined alike. */
export function fingerprintOf(state: State): string {
  const all = KINDS.map((kind) =>
    [...state[kind].values()]
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .map(({ name, definition }) => [name, definition]),
  );
  return createHash("sha256")
    .update(JSON.stringify(ordered(all)))
    .digest("hex")
    .slice(0, 32);
}

function keptChain(chain: z.infer<typeof chainAnswer>, flags: readonly Flag[]): Kept {
  const stepped = flags.find((flag) => flag.chain === chain.name && isHeld(flag));
  return {
    name: chain.name,
    id: chain.name,
    version: chain.version,
    definition: picked(chain, CHAIN_FIELDS),
    held: new Map(stepped === undefined ? [] : [["*", `${stepped.key} is off or downgraded now, and uses it`]]),
  };
}

function keptFlag(flag: Flag): Kept {
  const because = "it is off or downgraded now; restore it first";
  const held = new Map<string, string>();
  if (flag.trips.length > 0) held.set("tags", "a budget holds it now; restore it first");
  if (isHeld(flag)) held.set("chain", because);
  if (flag.effective.state !== "on") held.set("delete", because);
  return { name: flag.key, id: flag.key, version: flag.version, definition: picked(flag, FLAG_FIELDS), held };
}

/** True when its chain says what it may use now, or that it may use nothing. A kill stands whatever its chain is. */
function isHeld({ trips, level, effective }: Flag): boolean {
  return trips.length > 0 || level.level > 0 || effective.reason === "NO_MODEL";
}

function keptBudget(budget: Budget): Kept {
  const { trips, subjects } = budget.now;
  const flags = trips.filter(({ overriddenBy }) => overriddenBy === null).map(({ flag }) => flag);
  const people = (subjects?.stopped ?? 0) + (subjects?.downgraded ?? 0);
  const whom = [...new Set(flags), ...(people > 0 ? [`${String(people)} users or sessions`] : [])];
  const words = `it holds ${whom.join(", ")} now, and an edit could let go; raise it (andon budget raise), or restore first`;
  return {
    name: budget.name,
    id: budget.id,
    version: budget.version,
    definition: picked(budget, BUDGET_FIELDS),
    held: new Map(whom.length === 0 ? [] : [["*", words]]),
  };
}

function keptChannel(channel: z.infer<typeof channelAnswer>): Kept {
  const { id, name, version, kind, url } = channel;
  const definition = {
    ...picked(channel, CHANNEL_FIELDS),
    ...(kind === "email" && { to: url.replace(/^mailto:/, "") }),
  };
  return { name, id, version, definition, held: new Map() };
}

function picked(resource: Readonly<Record<string, unknown>>, fields: Readonly<Record<string, true>>): Definition {
  return Object.fromEntries(
    Object.keys(fields).flatMap((field) => (resource[field] === undefined ? [] : [[field, resource[field]]])),
  );
}

function byName(kept: readonly Kept[]): Map<string, Kept> {
  return new Map(kept.map((one) => [one.name, one]));
}

/** The same value with the fields of every object in order. */
function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, ordered(inner)]),
  );
}
