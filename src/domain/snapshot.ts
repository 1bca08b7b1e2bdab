/** Compiles the rows of one environment into the snapshot that clients poll. Pure: same rows, same snapshot. */
import { modelNames, type NameOf } from "../../sdk-client/src/evaluate/model-names.ts";
import { type PriceTable, priceRowsOf } from "../../sdk-client/src/pricing/price-table.ts";
import type {
  ChainStep,
  FlagLimits,
  OffCause,
  OffMode,
  Rule,
  Snapshot,
  SnapshotBreaker,
  SnapshotBudget,
  SnapshotChain,
  SnapshotFlag,
  SwitchState,
} from "../../sdk-client/src/wire/protocol.ts";
import type { Revision } from "../../sdk-client/src/wire/revision.ts";
import type { Enforcement, WhenHeld } from "./budget.ts";
import type { Period } from "./window.ts";
import type { SubjectBudget } from "../../sdk-client/src/wire/verdict-protocol.ts";
import { inForce, type TripInForce } from "./in-force.ts";

export interface SnapshotFlagSource {
  key: string;
  chain: string | null;
  offMode: OffMode;
  offMessage: string | null;
  abortInFlight: boolean;
  clampMaxTokens: boolean;
  chainOnly: boolean;
  limits: FlagLimits;
  maxInputBytes: number | null;
  maxOutputTokens: number | null;
  tags: readonly string[];
  rules: readonly Rule[];
  rollout: number;
  salt: string;
  state: SwitchState;
  cause: OffCause | null;
  ramp: number | null;
  levelModel: string | null;
  level: number | null;
}

export interface SnapshotSource {
  environment: string;
  revision: Revision;
  committedAtMs: number;
  master: SwitchState;
  flags: readonly SnapshotFlagSource[];
  chains: readonly { name: string; steps: readonly ChainStep[] }[];
  blockedModels: readonly string[];
  /** The oldest first. */
  breakers: readonly SnapshotBreaker[];
  trips: readonly TripInForce[];
  priceTable: PriceTable;
  /** Models whose prices operators added: what a client knows without the server may differ. */
  pricedModels: readonly string[];
  aliases: Readonly<Record<string, string>>;
  budgets: readonly SnapshotBudgetSource[];
}

/** A budget as its row is. */
export interface SnapshotBudgetSource {
  id: string;
  name: string;
  flag: string | null;
  model: string | null;
  tag: string | null;
  userScope: string | null;
  sessionScope: string | null;
  enforcement: Enforcement;
  onUnavailable: "allow" | "deny";
  reserveWaitMs: number;
  minTokens: number;
  whenHeld: WhenHeld;
  limitNanoUsd: number;
  period: Period;
}

/** The snapshot of one environment. Flags and chains keep the order of the source. */
export function compileSnapshot(source: SnapshotSource): Snapshot {
  const nameOf = modelNames(source.aliases);
  const chains = new Map(source.chains.map(({ name, steps }) => [name, { steps }] as const));
  return {
    version: 1,
    environment: source.environment,
    revision: source.revision,
    committedAtMs: source.committedAtMs,
    master: { state: source.master },
    flags: Object.fromEntries(source.flags.map((flag) => [flag.key, compileFlag(flag, chains, source.trips, nameOf)])),
    chains: Object.fromEntries(chains),
    blockedModels: source.blockedModels,
    ...(source.breakers.length > 0 && { breakers: source.breakers }),
    prices: priceRowsOf(source.priceTable, namedModels(source)),
    aliases: source.aliases,
    ...compileBudgets(source, nameOf),
  };
}

function compileBudgets(source: SnapshotSource, nameOf: NameOf): Pick<Snapshot, "budgets" | "subjectBudgets"> {
  const budgets: SnapshotBudget[] = [];
  const subjectBudgets: SubjectBudget[] = [];
  for (const budget of source.budgets) {
    const { enforcement, flag, model, tag, userScope, sessionScope, whenHeld, limitNanoUsd, period, ...rest } = budget;
    const flags = tag === null ? null : source.flags.filter(({ tags }) => tags.includes(tag)).map(({ key }) => key);
    const named = { ...(model !== null && { model }) };
    if (userScope !== null || sessionScope !== null) {
      subjectBudgets.push({
        id: budget.id,
        name: budget.name,
        ...heldFlags(budget, flags, source, nameOf),
        ...named,
        ...(userScope !== null && { user: userScope }),
        ...(sessionScope !== null && { session: sessionScope }),
        limitNanoUsd,
        period,
      });
    } else if (enforcement !== "track") {
      budgets.push({
        ...rest,
        ...(flag !== null && { flag }),
        ...(flags !== null && { flags }),
        ...named,
        enforcement,
        ...(whenHeld === "stepDown" && { whenHeld }),
      });
    }
  }
  return {
    ...(budgets.length > 0 && { budgets }),
    ...(subjectBudgets.length > 0 && { subjectBudgets }),
  };
}

/** As a trip would move them: its own flag, else those with its tag and with its model in their chain. */
function heldFlags(
  { flag, model }: SnapshotBudgetSource,
  tagged: readonly string[] | null,
  { flags, chains }: SnapshotSource,
  nameOf: NameOf,
): Pick<SubjectBudget, "flags"> {
  if (flag !== null) return { flags: [flag] };
  if (model === null) return tagged === null ? {} : { flags: tagged };
  const withModel = chains
    .filter(({ steps }) => steps.some((step) => nameOf(step.model) === nameOf(model)))
    .map(({ name }) => name);
  return {
    flags: flags
      .filter(({ key, chain }) => chain !== null && withModel.includes(chain) && tagged?.includes(key) !== false)
      .map(({ key }) => key),
  };
}

/** The models of all chains and those priced by hand, each once, in a fixed order. */
function namedModels({ chains, pricedModels }: SnapshotSource): string[] {
  const ofChains = chains.flatMap(({ steps }) => steps.map((step) => step.model));
  return [...new Set([...ofChains, ...pricedModels])].toSorted();
}

function compileFlag(
  flag: SnapshotFlagSource,
  chains: ReadonlyMap<string, SnapshotChain>,
  trips: readonly TripInForce[],
  nameOf: NameOf,
): SnapshotFlag {
  const steps = flag.chain === null ? [] : (chains.get(flag.chain)?.steps ?? []);
  const { state, cause, level } = inForce(
    flag,
    steps.map((step) => step.model),
    trips.filter((trip) => trip.flag === flag.key),
    nameOf,
  );
  return {
    state,
    ...(cause !== null && { cause }),
    level,
    chain: flag.chain,
    rollout: flag.rollout,
    ramp: state === "off" ? null : flag.ramp,
    salt: flag.salt,
    rules: flag.rules,
    offMode: flag.offMode,
    offMessage: flag.offMessage,
    abortInFlight: flag.abortInFlight,
    clampMaxTokens: flag.clampMaxTokens,
    chainOnly: flag.chainOnly,
    ...(Object.keys(flag.limits).length > 0 && { limits: flag.limits }),
    ...(flag.maxInputBytes !== null && { maxInputBytes: flag.maxInputBytes }),
    ...(flag.maxOutputTokens !== null && { maxOutputTokens: flag.maxOutputTokens }),
  };
}
