/** `export`, `diff` and `apply`: an environment's definitions as a file, and back. */
import { readFileSync, writeFileSync } from "node:fs";
import { deletedSchema } from "../../api/list.ts";
import { type ApiClient, createApiClient } from "../api-client.ts";
import { baseOf, type Common } from "../commands.ts";
import { CliError, EXIT_DIFFERENT, EXIT_FAILED, EXIT_OK, EXIT_USAGE, type Io } from "../io.ts";
import { escapedLines, jsonLines } from "../printable.ts";
import {
  type Configuration,
  type Definition,
  KINDS,
  newChannel,
  parseConfiguration,
  printConfiguration,
  SECTIONS,
  withBase,
} from "./file.ts";
import { type Plan, planLines, planOf, type Step } from "./plan.ts";
import { answerOf, fingerprintOf, type Kept, readState, type State } from "./state.ts";

const STDIN = "-";

export interface FileOptions extends Common {
  file: string;
}

export interface ApplyOptions extends FileOptions {
  prune?: boolean;
  dryRun?: boolean;
  force?: boolean;
  yes?: boolean;
  newModel?: boolean;
}

/** Prints the file of an environment: everything people define there but secrets. */
export async function exportConfiguration(io: Io, options: Common): Promise<number> {
  const state = await readState(createApiClient(io), baseOf(options));
  const sections = Object.fromEntries(
    KINDS.map((kind) => [
      SECTIONS[kind],
      Object.fromEntries(
        Array.from(state[kind].values(), (kept) => [
          kept.name,
          kind === "channel" ? withSecretNames(kept) : kept.definition,
        ]),
      ),
    ]),
  );
  const base = fingerprintOf(state);
  const heading = `Chains, flags, budgets and channels of ${options.env}: andon apply -f <this file>`;
  const lines =
    options.json === true
      ? jsonLines({ andon: 1, base, ...sections })
      : escapedLines(printConfiguration(heading, base, sections));
  for (const line of lines) io.out(line);
  if ([...state.channel.values()].some(({ definition }) => definition["kind"] !== "email"))
    io.err(
      "Addresses and keys of channels are secret and not in the file. To make such a channel, set the variable that its urlFrom or routingKeyFrom names, then apply.",
    );
  return EXIT_OK;
}

/** Says what `apply` would do. EXIT_DIFFERENT when that is anything, or when the environment has what the file has not. */
export async function diff(io: Io, options: FileOptions): Promise<number> {
  const { configuration } = await readConfiguration(io, options.file);
  const state = await readState(createApiClient(io), baseOf(options));
  const plan = planOf(configuration, state, false);
  const isEdited = wasEdited(configuration, state, plan);
  sayPlan(io, options, plan, { edited: isEdited });
  if (plan.steps.length === 0 && plan.extra.length === 0) return EXIT_OK;
  if (isEdited) io.err(`${options.env} was edited since this file was the same as it.`);
  return EXIT_DIFFERENT;
}

/** Makes the environment as the file has it, in one order that leaves no flag without its chain. */
export async function apply(io: Io, options: ApplyOptions): Promise<number> {
  const { text, configuration } = await readConfiguration(io, options.file);
  const api = createApiClient(io);
  const state = await readState(api, baseOf(options));
  const plan = withSecrets(io, configuration, planOf(configuration, state, options.prune === true));
  const isEdited = wasEdited(configuration, state, plan);
  const refused = plan.steps.filter((step) => step.refused !== null);
  const willDo = options.dryRun !== true && refused.length === 0 && (!isEdited || options.force === true);
  if (options.json !== true || !willDo) sayPlan(io, options, plan, { edited: isEdited, applied: false });
  if (refused.length > 0) throw new CliError("Nothing was changed: some of it is refused.");
  if (isEdited && options.force !== true)
    throw new CliError(
      `Nothing was changed: ${options.env} was edited since this file was the same as it (or never was). To take those edits into the file, export again; to overwrite what is shown above, add --force.`,
    );
  if (options.dryRun === true) return EXIT_OK;
  if (plan.steps.length > 0 && options.yes !== true && options.json !== true) await confirm(io, options.env);
  await doAll(io, api, options, configuration, plan, state);
  if (options.json === true) sayPlan(io, options, plan, { edited: isEdited, applied: true });
  noteBase(io, options.file, text, fingerprintOf(state));
  return EXIT_OK;
}

/** An edit that the file does not know of, and that this plan would overwrite or delete. */
function wasEdited({ base }: Configuration, state: State, { steps }: Plan): boolean {
  return steps.some(({ action }) => action !== "create") && base !== fingerprintOf(state);
}

async function doAll(
  io: Io,
  api: ApiClient,
  options: ApplyOptions,
  { wanted }: Configuration,
  { steps }: Plan,
  state: State,
): Promise<void> {
  const at = baseOf(options);
  for (const [done, step] of steps.entries()) {
    try {
      const definition = wanted[step.kind]?.get(step.name) ?? {};
      await doStep(io, api, at, step, definition, state, options.newModel === true);
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      throw new CliError(
        `${step.kind} ${step.name}: ${error.message}\n${String(done)} of ${String(steps.length)} changes are made; apply again to go on.`,
        EXIT_FAILED,
      );
    }
  }
  if (options.json === true) return;
  io.out(
    steps.length === 0
      ? `${options.env} is as the file has it: nothing to change.`
      : `Done: ${String(steps.length)} ${steps.length === 1 ? "change" : "changes"} in ${options.env}.`,
  );
}

async function doStep(
  io: Io,
  api: ApiClient,
  at: string,
  { action, kind, name, fields }: Step,
  definition: Definition,
  state: State,
  isNewModel: boolean,
): Promise<void> {
  const kept = state[kind].get(name);
  const all = `${at}/${SECTIONS[kind]}`;
  const one = `${all}/${encodeURIComponent(kept?.id ?? name)}`;
  const on = kept === undefined ? {} : { version: kept.version };
  if (action === "delete") {
    await api.call(one, deletedAnswer, { method: "DELETE", ...on });
    state[kind].delete(name);
    return;
  }
  const schema = answerOf(kind);
  const body: Definition =
    kind === "chain"
      ? { ...definition, ...(isNewModel && { newModel: true }) }
      : action === "update"
        ? Object.fromEntries(fields.map(({ field, to }) => [field, to]))
        : kind === "flag"
          ? { key: name, ...definition }
          : kind === "budget"
            ? { name, ...definition }
            : newChannel(name, secretsRead(io, definition));
  const method = kind === "chain" ? "PUT" : action === "update" ? "PATCH" : "POST";
  const path = kind === "chain" || action === "update" ? one : all;
  state[kind].set(name, await api.call(path, schema, { method, body, ...on }));
}

/** A delete answers with the revision; that of a flag with its budgets as well. */
const deletedAnswer = deletedSchema.loose();

async function confirm(io: Io, env: string): Promise<void> {
  if (io.ask === null) return;
  const answer = await io.ask(`Do this in ${env}? Type yes: `);
  if (answer?.trim() !== "yes") throw new CliError("Nothing was changed.", EXIT_USAGE);
}

async function readConfiguration(io: Io, file: string): Promise<{ text: string; configuration: Configuration }> {
  const text = file === STDIN ? await stdinOf(io) : readFile(file);
  return { text, configuration: parseConfiguration(text, file === STDIN ? "stdin" : file) };
}

async function stdinOf(io: Io): Promise<string> {
  if (io.stdin === undefined) throw new CliError("Nothing can be read from standard input here.", EXIT_USAGE);
  return io.stdin();
}

function readFile(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new CliError(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`, EXIT_USAGE);
  }
}

/** From now on the file is the same as the environment: an edit that comes after is told from its own changes. */
function noteBase(io: Io, file: string, text: string, base: string): void {
  if (file === STDIN) return;
  const noted = withBase(text, base);
  if (noted === null || noted === text) return;
  try {
    writeFileSync(file, noted);
  } catch (error) {
    io.err(
      `Its base could not be noted in ${file} (${error instanceof Error ? error.message : String(error)}): write base: ${base} there.`,
    );
  }
}

function sayPlan(io: Io, options: Common, plan: Plan, more: Readonly<Record<string, boolean>>): void {
  const lines = options.json === true ? jsonLines({ ...plan, ...more }) : planLines(plan);
  for (const line of lines) io.out(line);
  if (options.json !== true && plan.steps.length === 0 && plan.extra.length === 0 && !("applied" in more))
    io.out(`${options.env} is as the file has it.`);
}

/** Refuses channels whose secret is not there, before anything is done. */
function withSecrets(io: Io, { wanted }: Configuration, plan: Plan): Plan {
  const steps = plan.steps.map((step): Step => {
    if (step.kind !== "channel" || step.action !== "create") return step;
    try {
      newChannel(step.name, secretsRead(io, wanted.channel?.get(step.name) ?? {}));
      return step;
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      return { ...step, refused: error.message };
    }
  });
  return { ...plan, steps };
}

/** `urlFrom` and `routingKeyFrom` with what their variables hold. */
function secretsRead({ env }: Io, definition: Definition): Definition {
  return Object.fromEntries(
    Object.entries(definition).map(([field, value]) => {
      if (!field.endsWith("From")) return [field, value];
      const secret = env[String(value)] ?? "";
      const name = field.slice(0, -"From".length);
      if (secret === "") throw new CliError(`set ${String(value)} to its ${name}, which is secret and in no file`);
      return [name, secret];
    }),
  );
}

/** `#on-call` on Slack: `urlFrom: ANDON_CHANNEL_ON_CALL_URL`. */
function withSecretNames({ name, definition }: Kept): Definition {
  const kind = definition["kind"];
  if (kind === "email") return definition;
  const part = name
    .toUpperCase()
    .replace(/[^A-Z0-9]+/g, "_")
    .replace(/^_|_$/g, "");
  const variable = `ANDON_CHANNEL_${part === "" ? "1" : part}`;
  const secret = kind === "pagerduty" ? { routingKeyFrom: `${variable}_KEY` } : { urlFrom: `${variable}_URL` };
  return { ...definition, ...secret };
}
