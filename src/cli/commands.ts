/** The on-call verbs: each calls the API once or twice and says what is so now. Resolves with the exit code. */
import type { z } from "zod";
import { type ApiClient, createApiClient } from "./api-client.ts";
import {
  auditAnswer,
  auditVerifiedAnswer,
  declaredAnswer,
  type BudgetAnswer,
  budgetAnswer,
  type FlagAnswer,
  type InstancesAnswer,
  flagAnswer,
  flagsAnswer,
  instancesAnswer,
  type MasterAnswer,
  masterAnswer,
  modelAnswer,
  modelsAnswer,
  openIncidents,
  receiptsAnswer,
  type SwitchedTagAnswer,
  switchedFlagAnswer,
  switchedTagAnswer,
  taggedAnswer,
  unknownFlagsAnswer,
} from "./answers.ts";
import { CliError, EXIT_FAILED, EXIT_OK, EXIT_USAGE, type Io } from "./io.ts";
import { jsonLines } from "./printable.ts";
import { EVERY_FLAG } from "../domain/fleet.ts";
import { REASONS, RESTORE_REASONS } from "../domain/reasons.ts";
import { askAfterKill, requireReason } from "./reason.ts";
import { sayProof, waitForReceipts } from "./proof.ts";
import { flagLine, limitLines } from "./flag-text.ts";
import {
  accountLine,
  type RefusedAccount,
  auditLine,
  verifiedLines,
  declaredLines,
  instanceLines,
  lateLines,
  masterLine,
  overriddenLine,
  receiptsLine,
  refusalLines,
  refusingLines,
  refusingOf,
  some,
  unknownFlagLine,
} from "./text.ts";

export interface Common {
  env: string;
  json?: boolean;
}

export interface ChangeOptions extends Common {
  wait: boolean;
  reason?: string;
}

export async function status(io: Io, key: string | undefined, options: Common): Promise<number> {
  const api = createApiClient(io);
  const base = baseOf(options);
  if (key !== undefined) {
    const flag = await api.call(`${base}/flags/${encodeURIComponent(key)}`, flagAnswer);
    const { items } = await api.call(`${base}/instances`, instancesAnswer);
    const own = items.filter(({ local }) => local !== null && (local.includes(EVERY_FLAG) || local.includes(key)));
    const lines = refusingLines({ items: own, local: 0 });
    const refused = await accountsOf(api, base, key);
    return show(io, options, { ...flag, refusing: refusingOf(own), accounts: refused }, [
      flagLine(flag),
      ...limitLines(flag),
      ...refused.map(accountLine),
      ...lines,
    ]);
  }
  const master = await api.call(`${base}/master`, masterAnswer);
  const flags = await api.call(`${base}/flags`, flagsAnswer);
  const models = await api.call(`${base}/models`, modelsAnswer);
  const newest = await api.call(`${base}/receipts`, receiptsAnswer);
  const unknown = await api.call(`${base}/unknown-flags`, unknownFlagsAnswer);
  const fleet = await api.call(`${base}/instances`, instancesAnswer);
  const accounts = await accountsOf(api, base);
  const blocked = models.items.filter((model) => model.blocked);
  const out = models.items.filter(({ breaker }) => breaker?.state === "open" || breaker?.state === "probing");
  const refusing = refusingOf(fleet.items);
  const all = {
    master,
    flags: flags.items,
    blocked,
    out,
    unknown: unknown.items,
    refusing,
    accounts,
    receipts: newest,
  };
  return show(io, options, all, [
    `${options.env}, revision ${flags.revision}. ${receiptsLine(newest)}`,
    ...refusingLines(fleet),
    masterLine(master),
    ...accounts.map(accountLine),
    ...out.map(({ model, breaker }) => `${model}: taken out by its breaker, ${breaker?.reason ?? ""}`),
    ...blocked.map(
      ({ model, by, reason }) =>
        `${model}: blocked${by === null ? "" : ` by ${by}`}${reason === null ? "" : `, "${reason}"`}`,
    ),
    ...(flags.items.length === 0 ? ["There are no flags yet. Create one on the board."] : flags.items.map(flagLine)),
    ...unknown.items.map(unknownFlagLine),
  ]);
}

/** Accounts that Claude refuses now, as open incidents tell them; those that concern one flag. */
async function accountsOf(api: ApiClient, base: string, key?: string): Promise<RefusedAccount[]> {
  const { items } = await api.call(`${base}/incidents?open=true`, openIncidents);
  return items.flatMap(({ title, account }) => {
    if (account === null || (key !== undefined && !account.flags.includes(key))) return [];
    return [{ title, ...account }];
  });
}

export async function kill(
  io: Io,
  key: string | undefined,
  options: ChangeOptions & { all?: boolean; tag?: string; until?: string },
): Promise<number> {
  const target = targetOf(key, options);
  const body = { reason: options.reason ?? null, ...(options.until !== undefined && { until: options.until }) };
  const besides = options.reason === undefined ? { last: whyKilled(io, options) } : {};
  if (options.tag !== undefined) {
    const last = async ({ items }: SwitchedTagAnswer) => {
      const killed = items.flatMap(({ auditId }) => (auditId === null ? [] : [auditId]));
      await askWhy(io, options, killed);
    };
    return changeTag(io, options.tag, "kill", body, options, options.reason === undefined ? { last } : {});
  }
  return target === null
    ? changeMaster(io, "kill", body, options, besides)
    : changeFlag(io, target, "kill", body, options, besides);
}

function whyKilled(io: Io, options: ChangeOptions) {
  return async ({ auditId: killed }: { auditId?: number | null | undefined }): Promise<void> =>
    askWhy(io, options, typeof killed === "number" ? [killed] : []);
}

/** What was off before keeps the reason that it has. */
async function askWhy(io: Io, options: ChangeOptions, killed: readonly number[]): Promise<void> {
  const silent: Io = options.json === true ? { ...io, ask: null } : io;
  if (killed.length > 0) await askAfterKill(silent, createApiClient(io), baseOf(options), killed);
}

/** Says what a restore did not bring back, and which trips it overrides. */
export async function restore(
  io: Io,
  key: string | undefined,
  options: ChangeOptions & { all?: boolean; tag?: string; ramp?: number },
): Promise<number> {
  const target = targetOf(key, options);
  if (options.all === true && options.ramp !== undefined)
    throw new CliError("--ramp is for one flag; the master switch has none.", EXIT_USAGE);
  // Who is asked why is shown first what it would turn on.
  if (options.tag !== undefined && options.reason === undefined && io.ask !== null)
    await previewTag(io, options.tag, options);
  const reason = await requireReason(io, options.reason, RESTORE_REASONS);
  const body = { reason, ...(options.ramp !== undefined && { ramp: options.ramp }) };
  if (options.tag !== undefined) return changeTag(io, options.tag, "restore", body, options);
  if (target === null) return changeMaster(io, "restore", body, options, { more: () => stillOff(io, options) });
  const before = options.json === true ? [] : (await readFlag(io, target, options)).trips;
  return changeFlag(io, target, "restore", body, options, {
    more: ({ trips }) => {
      const overridden = before.filter(({ id }) => trips.every((left) => left.id !== id));
      const budgets = new Map(overridden.map(({ budget }) => [budget.id, budget.name]));
      return Promise.all(
        Array.from(budgets, async ([id, name]) => {
          const steps = overridden.filter(({ budget }) => budget.id === id).map(({ atPercent }) => atPercent);
          return overriddenLine(name, steps, await readBudget(io, id, options));
        }),
      );
    },
  });
}

/** Says which flags a tag names, each as it is now. */
async function previewTag(io: Io, tag: string, options: Common): Promise<void> {
  const { items } = await createApiClient(io).call(`${baseOf(options)}/tags/${encodeURIComponent(tag)}`, taggedAnswer);
  io.err(`Turns on what is off of ${String(items.length)} with the tag "${tag}":`);
  for (const flag of items) io.err(flagLine(flag));
}

/** Null from an older server, which does not name the budget of a trip. */
async function readBudget(io: Io, id: string, options: Common): Promise<BudgetAnswer | null> {
  if (id === "") return null;
  return createApiClient(io).call(`${baseOf(options)}/budgets/${encodeURIComponent(id)}`, budgetAnswer);
}

async function stillOff(io: Io, options: Common): Promise<string[]> {
  const { items } = await createApiClient(io).call(`${baseOf(options)}/flags`, flagsAnswer);
  return items.filter(({ effective }) => effective.state === "off").map((flag) => `Not back: ${flagLine(flag)}`);
}

function readFlag(io: Io, key: string, options: Common): Promise<FlagAnswer> {
  return createApiClient(io).call(`${baseOf(options)}/flags/${encodeURIComponent(key)}`, flagAnswer);
}

export async function downgrade(
  io: Io,
  key: string,
  options: ChangeOptions & { level?: number; model?: string; until?: string },
): Promise<number> {
  const { level, model, until } = options;
  const body = {
    reason: await requireReason(io, options.reason, REASONS),
    ...(level !== undefined && { level }),
    ...(model !== undefined && { model }),
    ...(until !== undefined && { until }),
  };
  return changeFlag(io, key, "downgrade", body, options);
}

export async function setBlock(
  io: Io,
  model: string,
  blocked: boolean,
  options: ChangeOptions & { until?: string; newModel?: boolean },
): Promise<number> {
  const reason = await requireReason(io, options.reason, blocked ? REASONS : RESTORE_REASONS);
  const body = {
    blocked,
    reason,
    ...(options.until !== undefined && { until: options.until }),
    ...(options.newModel === true && { newModel: true }),
  };
  const call = { method: "PUT", body, stops: blocked } as const;
  return change(
    io,
    `/models/${encodeURIComponent(model)}`,
    modelAnswer,
    call,
    options,
    (answer) => `${answer.model}: ${answer.blocked ? "blocked" : "not blocked"}`,
    { more: ({ warnings }) => Promise.resolve(warnings) },
  );
}

export async function receipts(io: Io, options: Common & { revision?: string }): Promise<number> {
  const query = options.revision === undefined ? "" : `?revision=${encodeURIComponent(options.revision)}`;
  const answer = await createApiClient(io).call(`${baseOf(options)}/receipts${query}`, receiptsAnswer);
  return show(io, options, answer, [
    `Revision ${answer.revision}: ${receiptsLine(answer)}`,
    ...refusalLines(answer),
    ...lateLines(answer),
  ]);
}

export async function instances(io: Io, options: Common): Promise<number> {
  const answer = await createApiClient(io).call(`${baseOf(options)}/instances`, instancesAnswer);
  return show(io, options, answer, instanceLines(answer));
}

/** Takes processes out of the count that a person knows to be dead: one by the name that the lists give it, or all lost ones. */
export async function declareDead(
  io: Io,
  name: string | undefined,
  options: Common & { all?: boolean; reason?: string },
): Promise<number> {
  if ((name === undefined) !== (options.all === true))
    throw new CliError("Name an instance, or give --all for all whose connection is lost.", EXIT_USAGE);
  const api = createApiClient(io);
  const base = `${baseOf(options)}/instances`;
  const reason = options.reason === undefined ? {} : { reason: options.reason };
  const list = await api.call(base, instancesAnswer);
  const call = (path: string, body: Readonly<Record<string, unknown>>) =>
    api.call(`${base}${path}`, declaredAnswer, { method: "POST", body: { ...body, ...reason } });
  const answer =
    name === undefined
      ? await call("/dead", list.at === undefined ? {} : { lostBefore: list.at })
      : await call(`/${encodeURIComponent(idOf(list, name))}/dead`, {});
  return show(io, options, answer, declaredLines(answer));
}

function idOf(list: InstancesAnswer, name: string): string {
  const found = list.items.find(({ instance, state }) => instance === name && state !== "stopped");
  if (found !== undefined) return found.id;
  const lost = list.items.filter(({ state }) => state === "lost").map(({ instance }) => instance);
  throw new CliError(
    `No instance "${name}" runs or may still run. Lost now: ${lost.length === 0 ? "none" : some(lost, list.lost)}.`,
  );
}

export async function audit(io: Io, options: Common & { flag?: string; limit: number }): Promise<number> {
  const target = options.flag === undefined ? "" : `&kind=flag&key=${encodeURIComponent(options.flag)}`;
  const answer = await createApiClient(io).call(
    `${baseOf(options)}/audit?limit=${String(options.limit)}${target}`,
    auditAnswer,
  );
  // A flag that is gone has its entries; one without any may be a slip, which is said.
  if (answer.items.length === 0 && options.flag !== undefined) await readFlag(io, options.flag, options);
  return show(
    io,
    options,
    answer,
    answer.items.length === 0 ? ["Nothing was changed yet."] : answer.items.map(auditLine),
  );
}

/** Fails when the audit is not as it was written. */
export async function verifyAudit(io: Io, options: Common & { installation?: boolean }): Promise<number> {
  const base = options.installation === true ? "" : baseOf(options);
  const answer = await createApiClient(io).call(`${base}/audit/verify`, auditVerifiedAnswer);
  show(io, options, answer, verifiedLines(answer));
  return answer.result === "broken" ? EXIT_FAILED : EXIT_OK;
}

export interface Besides<T> {
  /** What else there is to know, said with the answer. */
  more?: (answer: T) => Promise<string[]>;
  /** Done when all has been said. */
  last?: (answer: T) => Promise<void>;
}

function changeMaster(
  io: Io,
  verb: "kill" | "restore",
  body: Readonly<Record<string, unknown>>,
  options: ChangeOptions,
  besides?: Besides<MasterAnswer>,
): Promise<number> {
  const call = { method: "POST", body, stops: verb !== "restore" } as const;
  return change(io, `/${verb}`, masterAnswer, call, options, masterLine, besides);
}

function changeFlag(
  io: Io,
  key: string,
  verb: "kill" | "restore" | "downgrade",
  body: Readonly<Record<string, unknown>>,
  options: ChangeOptions,
  besides?: Besides<z.infer<typeof switchedFlagAnswer>>,
): Promise<number> {
  const call = { method: "POST", body, stops: verb !== "restore" } as const;
  return change(io, `/flags/${encodeURIComponent(key)}/${verb}`, switchedFlagAnswer, call, options, flagLine, besides);
}

function changeTag(
  io: Io,
  tag: string,
  verb: "kill" | "restore",
  body: Readonly<Record<string, unknown>>,
  options: ChangeOptions,
  besides: Pick<Besides<SwitchedTagAnswer>, "last"> = {},
): Promise<number> {
  const call = { method: "POST", body, stops: verb === "kill" } as const;
  return change(io, `/tags/${encodeURIComponent(tag)}/${verb}`, switchedTagAnswer, call, options, tagLine, {
    ...besides,
    more: async ({ items, refused }) => [
      ...items.map(({ flag, auditId }) => `${flagLine(flag)}${auditId === null ? " (it was so before)" : ""}`),
      ...refused.map(({ key, message }) => `${key} stays as it is: ${message}`),
    ],
  });
}

function tagLine({ tag, items, refused }: SwitchedTagAnswer): string {
  const changed = items.filter(({ auditId }) => auditId !== null).length;
  return `${String(changed)} of ${String(items.length + refused.length)} with the tag "${tag}" changed`;
}

/** Makes the change, says what is so now, and waits for the receipts. */
export async function change<T extends { revision: string; auditId?: number | null | undefined }>(
  io: Io,
  path: string,
  schema: z.ZodType<T>,
  call: Parameters<ApiClient["call"]>[2],
  options: ChangeOptions,
  line: (answer: T) => string,
  { more = async () => [], last = async () => {} }: Besides<T> = {},
): Promise<number> {
  const api = createApiClient(io);
  const answer = await api.call(`${baseOf(options)}${path}`, schema, call);
  if (options.json !== true) {
    io.out(answer.auditId === null ? `${line(answer)} (it was so before: nothing changed)` : line(answer));
    for (const each of await orWhyNot(more(answer))) io.out(each);
  }
  if (!options.wait) {
    if (options.json === true) show(io, options, answer, []);
    await last(answer);
    return EXIT_OK;
  }
  const proof = await waitForReceipts(io, api, encodeURIComponent(options.env), answer.revision);
  if (options.json === true) show(io, options, { ...answer, receipts: proof.receipts }, []);
  else sayProof(io, proof);
  await last(answer);
  return proof.exitCode;
}

/** The change is made: what cannot be read besides does not fail the command. */
async function orWhyNot(lines: Promise<string[]>): Promise<string[]> {
  try {
    return await lines;
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return [`The change is made; what else there is to know of it cannot be read: ${error.message}`];
  }
}

/** A flag's key; null for everything, or for a tag. */
function targetOf(key: string | undefined, { all, tag }: { all?: boolean; tag?: string }): string | null {
  const named = [key !== undefined, all === true, tag !== undefined].filter(Boolean).length;
  if (named > 1) throw new CliError("Name a flag, or give --tag or --all: one of these.", EXIT_USAGE);
  if (named === 1) return key ?? null;
  throw new CliError("Name a flag, or give --tag <tag>, or --all for every flag of the environment.", EXIT_USAGE);
}

export function baseOf({ env }: Common): string {
  return `/environments/${encodeURIComponent(env)}`;
}

export function show(io: Io, options: Common, answer: unknown, lines: readonly string[]): number {
  for (const line of options.json === true ? jsonLines(answer) : lines) io.out(line);
  return EXIT_OK;
}
