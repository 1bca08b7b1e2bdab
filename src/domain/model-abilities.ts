/**
 * What a model cannot take of a request that others can, and what a chain must do about it. Pure. A model that is not in
 * the table is not warned of. Sources: platform.claude.com/docs, read 2026-11-27: models/…/overview (windows),
 * models/…/migration-guide (sampling, prefill), build-with-claude/thinking and extended-thinking (kinds of thinking).
 */
import type { ChainStep } from "../../sdk-client/src/wire/protocol.ts";
import type { NameOf } from "../../sdk-client/src/evaluate/model-names.ts";

type ThinkingKind = "enabled" | "adaptive" | "disabled";

interface Abilities {
  windowTokens: number;
  /** `temperature`, `top_p` and `top_k` other than their defaults. */
  sampling: boolean;
  /** A last message of the assistant's. */
  prefill: boolean;
  thinking: readonly ThinkingKind[];
}

const SAMPLING = ["temperature", "top_p", "top_k"] as const;
const MILLION = 1_000_000;
const VERSION = /^claude-(opus|sonnet|haiku|fable|mythos)-(\d{1,2})(?:-(\d{1,2}))?$/;

/** Null for a model that the table does not know. `name` is the name that models are compared by. */
function abilitiesOf(name: string): Abilities | null {
  const [, family, major, minor = "0"] = VERSION.exec(name) ?? [];
  if (family === undefined) return null;
  const version = Number(major) + Number(minor) / 100;
  if (version < 4) return null;
  // Up to 4.5 a budget is the only way to think; 4.6 takes both; from 4.7 on the model decides.
  if (version < 4.06)
    return { windowTokens: 200_000, sampling: true, prefill: true, thinking: ["enabled", "disabled"] };
  if (version < 4.07) {
    return { windowTokens: MILLION, sampling: true, prefill: false, thinking: ["enabled", "adaptive", "disabled"] };
  }
  // Opus 5.5, Fable and Mythos cannot be told not to think; Sonnet 5.5 only between its tools.
  const isAlwaysThinking = family === "fable" || family === "mythos" || (family !== "haiku" && version >= 5.05);
  const thinking: readonly ThinkingKind[] = isAlwaysThinking ? ["adaptive"] : ["adaptive", "disabled"];
  return { windowTokens: MILLION, sampling: false, prefill: false, thinking };
}

/** One sentence for each step whose model refuses what its own patch sets, or what the steps before it take. */
export function abilityWarnings(steps: readonly ChainStep[], nameOf: NameOf): string[] {
  return steps.flatMap((step, index) => {
    const own = abilitiesOf(nameOf(step.model));
    if (own === null) return [];
    const before = steps.slice(0, index).map(({ model }) => abilitiesOf(nameOf(model)));
    const set = setInVain(step, own);
    const lost = lostIn(
      step,
      own,
      before.filter((abilities) => abilities !== null),
    );
    const where = `Step ${index + 1}, ${step.model}`;
    return [
      ...(set.length === 0 ? [] : [`${where}, refuses what it sets: ${set.join(", ")}.`]),
      ...(lost.length === 0 ? [] : [`${where}, refuses what a step before it takes: ${lost.join("; ")}.`]),
    ];
  });
}

function setInVain({ set = {} }: ChainStep, own: Abilities): string[] {
  const sampling = own.sampling ? [] : SAMPLING.filter((field) => field in set);
  const kind = kindOf(set["thinking"]);
  const isRefused = kind !== null && !own.thinking.some((each) => each === kind);
  return [...sampling.map((field) => `\`${field}\``), ...(isRefused ? [`\`thinking\` of type \`${kind}\``] : [])];
}

function lostIn({ set = {}, unset = [] }: ChainStep, own: Abilities, before: readonly Abilities[]): string[] {
  const isPatched = (field: string) => field in set || unset.includes(field);
  const lost: string[] = [];
  if (before.some(({ windowTokens }) => windowTokens > own.windowTokens)) {
    lost.push(`prompts above ${own.windowTokens.toLocaleString("en-US")} tokens`);
  }
  const open = SAMPLING.filter((field) => !isPatched(field)).map((field) => `\`${field}\``);
  if (!own.sampling && open.length > 0 && before.some(({ sampling }) => sampling))
    lost.push(`${open.join(", ")} (unset them)`);
  if (!own.prefill && before.some(({ prefill }) => prefill)) lost.push("a last message of the assistant's");
  const kinds = new Set(before.flatMap(({ thinking }) => thinking).filter((kind) => !own.thinking.includes(kind)));
  if (kinds.size > 0 && !isPatched("thinking")) {
    lost.push(`\`thinking\` of type ${[...kinds].map((kind) => `\`${kind}\``).join(", ")} (set or unset it)`);
  }
  return lost;
}

function kindOf(thinking: unknown): string | null {
  const type: unknown = typeof thinking === "object" && thinking !== null ? Reflect.get(thinking, "type") : null;
  return typeof type === "string" ? type : null;
}
