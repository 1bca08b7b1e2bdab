/**
 * An environment's definitions as a file in git: chains, flags, budgets and channels by name, in YAML. Read once, strictly;
 * every fault is told with its path and line. What is off, who tripped and what channels keep secret is in no file.
 */
import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument, visit } from "yaml";
import * as yaml from "yaml";
import { z } from "zod";
import { createBudgetBody, updateBudgetBody } from "../../api/budget.ts";
import { chainBody, chainNameSchema } from "../../api/chain.ts";
import { createChannelBody, updateChannelBody } from "../../api/channel.ts";
import { flagKeySchema } from "../../api/fields.ts";
import { createFlagBody } from "../../api/flag.ts";
import { CliError, EXIT_USAGE } from "../io.ts";
import { needsEscapes } from "../printable.ts";

const FORMAT = 1;
const MAX_FILE_CHARS = 8_000_000;
const MAX_FAULTS_TOLD = 20;
const BASE_LINE = /^base:.*$/m;

/** Chains before the flags that use them, flags before the budgets that are about them. */
export const KINDS = ["chain", "flag", "budget", "channel"] as const;
export type Kind = (typeof KINDS)[number];
export const SECTIONS = { chain: "chains", flag: "flags", budget: "budgets", channel: "channels" } as const;

export type Definition = Readonly<Record<string, unknown>>;
/** What a file says of each kind by name; a section that it has not says nothing of that kind. */
export interface Configuration {
  /** Fingerprint of the environment that the file was last the same as. */
  base: string | null;
  wanted: Readonly<Partial<Record<Kind, ReadonlyMap<string, Definition>>>>;
}

const variableSchema = z
  .string("must be the name of an environment variable")
  .regex(/^[A-Za-z_]\w{0,127}$/, "must be the name of an environment variable, such as ON_CALL_URL");
const told = updateChannelBody.pick({ escalateAfterMinutes: true, minSeverity: true, quietHours: true }).shape;
/** Secrets by the variable that holds them; they are read when the channel is made. */
const channelSchema = z.discriminatedUnion(
  "kind",
  [
    z.strictObject({ kind: z.enum(["slack", "webhook"]), urlFrom: variableSchema, ...told }),
    z.strictObject({
      kind: z.literal("pagerduty"),
      routingKeyFrom: variableSchema,
      urlFrom: variableSchema.optional(),
      ...told,
    }),
    z.strictObject({ kind: z.literal("email"), to: z.string("must be an address"), ...told }),
  ],
  "must be slack, webhook, pagerduty or email",
);
const nameSchema = createBudgetBody.shape.name;
const fileSchema = z.strictObject({
  andon: z.literal(FORMAT, `must be ${String(FORMAT)}, the format of this file`),
  base: z.string("must be the text that andon export wrote").optional(),
  chains: z.record(chainNameSchema, chainBody.omit({ newModel: true })).optional(),
  flags: z.record(flagKeySchema, createFlagBody.omit({ key: true })).optional(),
  budgets: z
    .record(nameSchema, updateBudgetBody.omit({ name: true }).required({ scope: true, limitUsd: true }))
    .optional(),
  channels: z.record(nameSchema, channelSchema).optional(),
});

/** Parses a file. CliError with a line for each fault: `andon.yaml:12: flags.support-chat.rollout: must be 0 to 100`. */
export function parseConfiguration(text: string, file: string): Configuration {
  if (text.length > MAX_FILE_CHARS)
    throw new CliError(`${file} is larger than ${String(MAX_FILE_CHARS)} characters.`, EXIT_USAGE);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const [broken] = document.errors;
  if (broken !== undefined)
    throw new CliError(
      `${file}:${String(broken.linePos?.[0].line ?? 1)}: ${broken.message.split("\n")[0] ?? ""}`,
      EXIT_USAGE,
    );
  const parsed = fileSchema.safeParse(valueOf(document, file));
  if (!parsed.success) {
    const faults = parsed.error.issues.flatMap(faultsOf).map(({ path, message }) => {
      const line = lines.linePos(offsetOf(document, path)).line;
      return `${file}:${String(line)}: ${path.length === 0 ? "" : `${path.join(".")}: `}${message}`;
    });
    const more = faults.length - MAX_FAULTS_TOLD;
    throw new CliError(
      [...faults.slice(0, MAX_FAULTS_TOLD), ...(more > 0 ? [`And ${String(more)} more.`] : [])].join("\n"),
      EXIT_USAGE,
    );
  }
  const { base = null, ...sections } = parsed.data;
  const wanted: Partial<Record<Kind, ReadonlyMap<string, Definition>>> = {};
  for (const kind of KINDS) {
    const section = sections[SECTIONS[kind]];
    if (section !== undefined) wanted[kind] = new Map(Object.entries(section));
  }
  return { base, wanted };
}

/** The file of these definitions. Text that a terminal would obey stands in double quotes, so that it can be escaped. */
export function printConfiguration(
  heading: string,
  base: string,
  sections: Readonly<Record<string, Readonly<Record<string, Definition>>>>,
): string {
  const document = new yaml.Document({ andon: FORMAT, base, ...sections }, { aliasDuplicateObjects: false });
  document.commentBefore = ` ${heading}`;
  visit(document, {
    Scalar(_key, node) {
      if (typeof node.value === "string" && needsEscapes(node.value)) node.type = "QUOTE_DOUBLE";
    },
  });
  return document.toString({ lineWidth: 0 }).trimEnd();
}

/** The same text with another base. Null for a file that is no block of YAML lines, such as JSON. */
export function withBase(text: string, base: string): string | null {
  if (BASE_LINE.test(text)) return text.replace(BASE_LINE, () => `base: ${base}`);
  const first = /^andon:.*$/m;
  return first.test(text) ? text.replace(first, (line) => `${line}\nbase: ${base}`) : null;
}

function valueOf(document: Document.Parsed, file: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    // Aliases that grow without end, say.
    throw new CliError(`${file}: ${error instanceof Error ? error.message : String(error)}`, EXIT_USAGE);
  }
}

interface Fault {
  path: readonly string[];
  message: string;
}

function faultsOf(issue: z.core.$ZodIssue): Fault[] {
  const path = issue.path.map(String);
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((key) => ({ path: [...path, key], message: "is not a field here" }));
  // A key is told by what is wrong with it.
  if (issue.code === "invalid_key")
    return issue.issues.map(({ message }) => ({ path, message: `the name ${message}` }));
  const isMissing = issue.code === "invalid_type" && issue.input === undefined && issue.message.startsWith("Invalid");
  return [{ path, message: isMissing ? "is missing" : issue.message }];
}

/** Where the deepest part of `path` begins that the file has: at its key. */
function offsetOf(document: Document.Parsed, path: readonly string[]): number {
  let node: unknown = document.contents;
  let offset = 0;
  for (const name of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === name);
      if (pair === undefined) break;
      offset = startOf(pair.key) ?? offset;
      node = pair.value;
    } else if (yaml.isSeq(node)) {
      node = node.items[Number(name)];
      offset = startOf(node) ?? offset;
    } else break;
  }
  return offset;
}

function startOf(node: unknown): number | null {
  return isNode(node) ? (node.range?.[0] ?? null) : null;
}

/** A channel as the API takes a new one. CliError unless its secrets can be used. */
export function newChannel(name: string, definition: Definition): z.infer<typeof createChannelBody> {
  const parsed = createChannelBody.safeParse({ name, ...definition });
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new CliError(`The channel "${name}" cannot be made: ${faults.join("; ")}.`, EXIT_USAGE);
}
