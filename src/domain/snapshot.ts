/** Compiles the rows of one environment into the snapshot that clients poll. Pure: same rows, same snapshot. */
import type {
  ChainStep,
  OffCause,
  OffMode,
  Revision,
  Rule,
  Snapshot,
  SnapshotChain,
  SnapshotFlag,
  SwitchState,
} from "../../sdk-client/src/protocol.ts";

export interface SnapshotFlagSource {
  key: string;
  chain: string | null;
  offMode: OffMode;
  offMessage: string | null;
  abortInFlight: boolean;
  clampMaxTokens: boolean;
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
}

/** The snapshot of one environment. Flags and chains keep the order of the source. */
export function compileSnapshot(source: SnapshotSource): Snapshot {
  const chains = new Map(source.chains.map(({ name, steps }) => [name, { steps }] as const));
  return {
    version: 1,
    environment: source.environment,
    revision: source.revision,
    committedAtMs: source.committedAtMs,
    master: { state: source.master },
    flags: Object.fromEntries(source.flags.map((flag) => [flag.key, compileFlag(flag, chains)])),
    chains: Object.fromEntries(chains),
    blockedModels: source.blockedModels,
  };
}

function compileFlag(flag: SnapshotFlagSource, chains: ReadonlyMap<string, SnapshotChain>): SnapshotFlag {
  const off = flag.state === "off";
  return {
    state: flag.state,
    ...(off && { cause: flag.cause ?? "manual" }),
    level: effectiveLevel(flag, flag.chain === null ? undefined : chains.get(flag.chain)),
    chain: flag.chain,
    rollout: flag.rollout,
    ramp: off ? null : flag.ramp,
    salt: flag.salt,
    rules: flag.rules,
    offMode: flag.offMode,
    offMessage: flag.offMessage,
    abortInFlight: flag.abortInFlight,
    clampMaxTokens: flag.clampMaxTokens,
  };
}

/**
 * The level is where the model that on-call meant stands now. A chain edited so that the model is gone keeps the
 * number, within the chain.
 */
export function effectiveLevel(
  flag: { level: number | null; levelModel: string | null },
  chain: SnapshotChain | undefined,
): number {
  if (flag.level === null || chain === undefined) return 0;
  const position = chain.steps.findIndex((step) => step.model === flag.levelModel);
  const level = position >= 0 ? position : flag.level;
  return Math.max(0, Math.min(level, chain.steps.length - 1));
}
