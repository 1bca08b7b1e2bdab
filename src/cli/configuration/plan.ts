/**
 * What would make an environment as a file has it: decided whole before any of it is done. What is left out of a file stays
 * as it is. Nothing in a plan turns a flag on: what could let go of what is held is refused, whoever forces it.
 */
import { same } from "../../domain/same.ts";
import { type Configuration, type Definition, type Kind, KINDS, SECTIONS } from "./file.ts";
import type { Kept, State } from "./state.ts";

export interface FieldChange {
  field: string;
  from: unknown;
  to: unknown;
}

export interface Step {
  action: "create" | "update" | "delete";
  kind: Kind;
  name: string;
  fields: readonly FieldChange[];
  /** Why it must not be done now; null: it may. */
  refused: string | null;
}

export interface Plan {
  steps: readonly Step[];
  /** What the environment has and the file has not; deleted only when asked to. */
  extra: readonly { kind: Kind; name: string }[];
  notes: readonly string[];
}

/** `prune`: deletes what is in none of the file's sections. */
export function planOf({ wanted }: Configuration, state: State, prune: boolean): Plan {
  const steps: Step[] = [];
  const notes: string[] = [];
  for (const kind of KINDS) {
    for (const [name, definition] of wanted[kind] ?? []) {
      const kept = state[kind].get(name);
      if (kept === undefined) {
        const fields = Object.entries(definition).map(([field, to]) => ({ field, from: undefined, to }));
        steps.push({ action: "create", kind, name, fields, refused: null });
        continue;
      }
      const fields = changesOf(kind, definition, kept);
      if (kind === "flag" && "salt" in definition && definition["salt"] !== kept.definition["salt"])
        notes.push(`flag ${name} keeps its own salt: others are in its rollout than the file's salt would hold.`);
      if (fields.length > 0)
        steps.push({ action: "update", kind, name, fields, refused: refusalOf(kind, fields, kept) });
    }
  }
  const extra = KINDS.toReversed().flatMap((kind) => {
    const section = wanted[kind];
    if (section === undefined) return [];
    return [...state[kind].keys()].filter((name) => !section.has(name)).map((name) => ({ kind, name }));
  });
  if (!prune) return { steps, extra, notes };
  const deletes = extra.map(({ kind, name }): Step => {
    const held = state[kind].get(name)?.held;
    return { action: "delete", kind, name, fields: [], refused: held?.get("*") ?? held?.get("delete") ?? null };
  });
  return { steps: [...steps, ...deletes], extra: [], notes };
}

/** One line for a step, one for each of its fields; the name of the section, so that it is found in the file. */
export function planLines({ steps, extra, notes }: Plan): string[] {
  const signs = { create: "+", update: "~", delete: "-" } as const;
  return [
    ...steps.flatMap(({ action, kind, name, fields, refused }) => [
      `${signs[action]} ${kind} ${name}`,
      ...(action === "create"
        ? []
        : fields.map(({ field, from, to }) => `    ${field}: ${shown(from)} → ${shown(to)}`)),
      ...(refused === null ? [] : [`    refused: ${refused}`]),
    ]),
    ...extra.map(({ kind, name }) => `  ${kind} ${name} is not in the file's ${SECTIONS[kind]}; --prune deletes it`),
    ...notes,
  ];
}

function changesOf(kind: Kind, definition: Definition, { definition: now }: Kept): FieldChange[] {
  return Object.entries(definition)
    .filter(([field]) => !(kind === "flag" && field === "salt") && !field.endsWith("From"))
    .filter(([field, to]) => to !== undefined && !same(to, now[field]))
    .map(([field, to]) => ({ field, from: now[field], to }));
}

function refusalOf(kind: Kind, fields: readonly FieldChange[], { held }: Kept): string | null {
  if (kind === "channel" && fields.some(({ field }) => field === "kind"))
    return "a channel cannot become one of another kind; give it another name";
  const field = fields.find((change) => held.has(change.field));
  return held.get("*") ?? (field === undefined ? null : `${field.field}: ${held.get(field.field) ?? ""}`);
}

function shown(value: unknown): string {
  return value === undefined ? "(not there)" : JSON.stringify(value);
}
