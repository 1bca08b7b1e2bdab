/**
 * Sets money aside for the attempts of one call. Invariants: an attempt is sent only with its worst case set aside in every
 * budget that reserves; nothing stays set aside for an attempt that is not sent.
 */
import type { ModelChoice } from "../../evaluate/chain-plan.ts";
import type { Asked } from "../attempt-usage.ts";
import { bodyFor, type Fitting } from "../body.ts";
import { clampOne } from "../caps.ts";
import { placeOf } from "../cloud-region.ts";
import { memoryOf } from "../memory.ts";
import { pricedModels } from "../priced-models.ts";
import type { Body } from "../request.ts";
import { serverToolsOf } from "../server-tools.ts";
import type { SnapshotBudget } from "../../wire/protocol.ts";
import type { GuardOptions, RequestLike } from "../types.ts";
import type { WaitEnd } from "./book.ts";
import {
  type BudgetRefusal,
  refusedAsHeld,
  refusedAsSpent,
  refusedAsTooLarge,
  refusedAsUnavailable,
  refusedAsUnbounded,
} from "./budget-refusal.ts";
import { Deposit, type Deposited } from "./deposit.ts";
import type { Account, LeaseHost, Leases } from "./leases.ts";
import { type Spender, subjectOf } from "./scope.ts";
import { worstCase, type WorstCase } from "./worst-case.ts";

/** What does not wait for others waits for one answer of the server. */
const ROUND_MS = 300;
/** The prompt is counted when its bytes make up more than this share of the worst case. */
const COUNT_ABOVE = 0.25;

export interface PurseInput {
  host: LeaseHost;
  leases: Leases;
  options: GuardOptions;
  request: RequestLike;
  body: Body;
  fitting: Fitting;
  spender: Omit<Spender, "model">;
  /** The flag lets `max_tokens` be lowered. */
  mayClamp: boolean;
  /** It may wait: it is not made inside of a call that may hold what it would wait for. */
  mayWait: boolean;
  /** How many tokens the prompt of this body has at most, by the API's count; null when that cannot be had. */
  count: (body: Body, signal: AbortSignal) => Promise<number | null>;
}

/** Waits for what this promises, and rejects as soon as the call is stopped; `signal` tells the work so. */
export type WaitFor = <T>(work: (signal: AbortSignal) => Promise<T>) => Promise<T>;

export type Afforded =
  | {
      kind: "afforded";
      choice: ModelChoice;
      deposit: Deposit;
      /** It has waited: it decides anew. */ hasWaited: boolean;
    }
  | { kind: "refused"; refusal: BudgetRefusal };

/** `deposit` is null when no budget reserves for its requests. */
export type AffordedBatch = { kind: "afforded"; deposit: Deposit | null } | Extract<Afforded, { kind: "refused" }>;

/** One request of a message batch. */
export interface BatchItem {
  choice: ModelChoice;
  body: Body;
}

/** One choice as it would be sent, with the most that it can cost. */
interface Priced {
  choice: ModelChoice;
  accounts: readonly Account[];
  asked: Asked;
  nanoUsd: number;
}

/** It would fit if others held less. */
type Held = { kind: "held"; priced: Priced; account: Account; refusal: BudgetRefusal };
type TooLarge = { kind: "tooLarge"; priced: Priced; account: Account; restNanoUsd: number };
type Outcome =
  | Extract<Afforded, { kind: "refused" }>
  | { kind: "afforded"; priced: Priced; deposited: Deposited[] }
  | Held
  | TooLarge;

export class Purse {
  readonly #input: PurseInput;
  /** What the API counted of the prompt, by the models' names; null where that could not be had. */
  readonly #counts = new Map<string, number | null>();
  #waitedMs = 0;
  /** The next choice is tried before this one waits for others. */
  #isHasty = false;

  constructor(input: PurseInput) {
    this.#input = input;
  }

  /**
   * The first of the choices for which there is money, with it set aside. Waits where others hold it, unless the budget says
   * to step down first; steps down, and then clamps, where it is more than is left.
   */
  async afford(choices: readonly ModelChoice[], waitFor: WaitFor): Promise<Afforded> {
    const waitedMs = this.#waitedMs;
    if (this.#stepsDown(choices)) {
      const atOnce = await this.#first(choices, waitFor, true);
      if (atOnce.kind !== "held") return this.#told(atOnce, waitedMs);
    }
    return this.#told(await this.#first(choices, waitFor, false), waitedMs);
  }

  /** What the first that can be had comes to. `isHasty`: nobody waits for others, the next is tried. */
  async #first(choices: readonly ModelChoice[], waitFor: WaitFor, isHasty: boolean): Promise<Outcome> {
    this.#isHasty = isHasty;
    const tooDear: (TooLarge | Held)[] = [];
    for (const choice of choices) {
      const outcome = await this.#affordOne(choice, waitFor);
      if (outcome.kind === "tooLarge" || (isHasty && outcome.kind === "held")) tooDear.push(outcome);
      else return outcome;
    }
    for (const each of this.#input.mayClamp ? tooDear : []) {
      const outcome = await this.#clamped(each, waitFor);
      if (outcome.kind !== "tooLarge" && !(isHasty && outcome.kind === "held")) return outcome;
    }
    // What others may let go of is worth waiting for.
    const first = tooDear.find(({ kind }) => kind === "held") ?? tooDear[0];
    if (first === undefined) throw new Error("there is no model to set money aside for");
    return first;
  }

  /** A budget of the first choice has calls step down before they wait. */
  #stepsDown(choices: readonly ModelChoice[]): boolean {
    const { leases, spender, mayClamp } = this.#input;
    const [first] = choices;
    if (first === undefined || (choices.length === 1 && !mayClamp)) return false;
    return leases.accountsOf({ ...spender, model: first.model }).some(({ budget }) => budget.whenHeld === "stepDown");
  }

  /** Sets aside what all requests of a message batch can cost, at batch prices. */
  async affordBatch(items: readonly BatchItem[], waitFor: WaitFor): Promise<AffordedBatch> {
    const { leases, spender, host } = this.#input;
    const [first] = items;
    if (first === undefined) throw new Error("a batch without requests costs nothing");
    const prices = pricedModels(host).prices();
    const accounts = new Map<string, Account>();
    let nanoUsd = 0;
    for (const { choice, body } of items) {
      const own = leases.accountsOf({ ...spender, model: choice.model });
      if (own.length === 0) continue;
      for (const account of own) accounts.set(account.budget.id, account);
      const worst = worstCase(withBody(this.#asked(choice), body), prices, Date.now(), true);
      if (worst.kind === "unbounded") {
        return { kind: "refused", refusal: refusedAsUnbounded(own[0]?.budget.name ?? "", worst.why) };
      }
      nanoUsd += worst.nanoUsd;
    }
    if (accounts.size === 0) return { kind: "afforded", deposit: null };
    const inOrder = [...accounts.values()].toSorted((a, b) => (a.budget.id < b.budget.id ? -1 : 1));
    const priced = { choice: first.choice, accounts: inOrder, asked: this.#asked(first.choice), nanoUsd };
    const outcome = await this.#takeInTurn(priced, waitFor);
    return outcome.kind === "afforded"
      ? { kind: "afforded", deposit: this.#deposit(outcome) }
      : { kind: "refused", refusal: refusalOf(outcome) };
  }

  #told(outcome: Outcome, waitedMs: number): Afforded {
    if (outcome.kind !== "afforded") return { kind: "refused", refusal: refusalOf(outcome) };
    const { choice } = outcome.priced;
    return { kind: "afforded", choice, deposit: this.#deposit(outcome), hasWaited: this.#waitedMs > waitedMs };
  }

  #deposit({ priced, deposited }: Extract<Outcome, { kind: "afforded" }>): Deposit {
    const { asked, choice } = priced;
    const { host } = this.#input;
    const body = asked.body ?? {};
    const maxTokens = body["max_tokens"];
    return new Deposit(
      deposited,
      {
        model: choice.model,
        maxTokens: typeof maxTokens === "number" ? Math.ceil(maxTokens) : 0,
        fast: body["speed"] === "fast",
        geo: asked.place ?? (typeof body["inference_geo"] === "string" ? body["inference_geo"] : null),
        isPlain: serverToolsOf(body).maxUses === 0 && body["fallbacks"] === undefined,
        counted: asked.counted,
      },
      () => pricedModels(host).prices(),
    );
  }

  async #affordOne(choice: ModelChoice, waitFor: WaitFor): Promise<Outcome> {
    const { leases, spender } = this.#input;
    const accounts = leases.accountsOf({ ...spender, model: choice.model });
    const asked = this.#asked(choice);
    if (accounts.length === 0)
      return { kind: "afforded", priced: { choice, accounts, asked, nanoUsd: 0 }, deposited: [] };
    let worst = this.#worst(asked);
    if (worst.kind === "unbounded" && worst.canCount && (await this.#count(asked, waitFor))) worst = this.#worst(asked);
    if (worst.kind === "unbounded") {
      return { kind: "refused", refusal: refusedAsUnbounded(accounts[0]?.budget.name ?? "", worst.why) };
    }
    const priced = { choice, accounts, asked, nanoUsd: worst.nanoUsd };
    const deposited = this.#takeNow(priced);
    if (deposited !== null) return { kind: "afforded", priced, deposited };
    if (worst.promptNanoUsd > worst.nanoUsd * COUNT_ABOVE && (await this.#count(asked, waitFor))) {
      const counted = this.#worst(asked);
      if (counted.kind === "bounded") priced.nanoUsd = Math.min(priced.nanoUsd, counted.nanoUsd);
    }
    return this.#takeInTurn(priced, waitFor);
  }

  #worst(asked: Asked): WorstCase {
    return worstCase(asked, pricedModels(this.#input.host).prices(), Date.now());
  }

  /** What would be sent for the choice, with the step's patch already in the body. */
  #asked(choice: ModelChoice): Asked {
    const { host, options, request, body, fitting } = this.#input;
    const changed = bodyFor(body, choice, fitting);
    return {
      choice: { ...choice, step: null },
      body: changed ?? body,
      encoded: () =>
        changed === null && typeof request.body === "string" ? request.body : JSON.stringify(changed ?? body),
      place: placeOf(request.url, choice.model, options.region),
      memory: memoryOf(host),
      documentTokens: options.documentTokens,
      toolUses: options.toolUses,
      counted: this.#counts.get(host.models.nameOf(choice.model)) ?? null,
    };
  }

  /** Asks the API how many tokens the prompt has, once for each model. True when it is known now, and was not before. */
  async #count(asked: Asked, waitFor: WaitFor): Promise<boolean> {
    const { host, count } = this.#input;
    const name = host.models.nameOf(asked.choice.model);
    if (this.#counts.has(name)) return false;
    const tokens = await waitFor((signal) => count(asked.body ?? {}, signal));
    this.#counts.set(name, tokens);
    asked.counted = tokens;
    return tokens !== null;
  }

  /** Null when not every account has room at once; nothing is set aside then. */
  #takeNow({ accounts, nanoUsd }: Priced): Deposited[] | null {
    const deposited: Deposited[] = [];
    for (const { book, budget } of accounts) {
      const taken = book.take(nanoUsd);
      if (taken.kind === "held") deposited.push({ hold: taken.hold, counts: this.#counting(budget) });
      else {
        for (const { hold } of deposited) hold.settle(0);
        return null;
      }
    }
    return deposited;
  }

  /** Account after account, in the order in which everybody takes it: no two calls wait for what the other has. */
  async #takeInTurn(priced: Priced, waitFor: WaitFor): Promise<Outcome> {
    const deposited: Deposited[] = [];
    let isAfforded = false;
    try {
      for (const account of priced.accounts) {
        const end = await this.#takeOne(account, priced.nanoUsd, waitFor);
        if (end.kind === "held") deposited.push({ hold: end.hold, counts: this.#counting(account.budget) });
        else if (end.kind === "tooLarge") return { kind: "tooLarge", priced, account, restNanoUsd: end.restNanoUsd };
        else if (end.kind === "refused") return end;
        else if (end.kind === "timeUp") {
          return {
            kind: "held",
            priced,
            account,
            refusal: refusedAsHeld(account.budget.name, priced.nanoUsd, account.book.held),
          };
        }
      }
      isAfforded = true;
      return { kind: "afforded", priced, deposited };
    } finally {
      if (!isAfforded) for (const { hold } of deposited) hold.settle(0);
    }
  }

  async #takeOne(
    account: Account,
    nanoUsd: number,
    waitFor: WaitFor,
  ): Promise<
    | Extract<WaitEnd, { kind: "held" | "tooLarge" | "timeUp" }>
    | Extract<Afforded, { kind: "refused" }>
    | { kind: "sentWithout" }
  > {
    const { book, budget } = account;
    const taken = book.take(nanoUsd);
    const end = taken.kind === "wait" ? await this.#wait(account, nanoUsd, waitFor) : taken;
    switch (end.kind) {
      case "held":
      case "tooLarge":
      case "timeUp":
        return end;
      case "spent":
        return { kind: "refused", refusal: refusedAsSpent(budget.name, end.until) };
      case "unavailable":
        if (budget.onUnavailable === "allow") return { kind: "sentWithout" };
        return { kind: "refused", refusal: refusedAsUnavailable(budget.name) };
    }
  }

  /** Waits its turn, for as long as the budget says in all. */
  async #wait({ book, budget }: Account, needNanoUsd: number, waitFor: WaitFor): Promise<WaitEnd> {
    const { leases, mayWait } = this.#input;
    if (leases.isUnavailable) {
      leases.ask();
      return { kind: "unavailable" };
    }
    // One round to the server is no wait for others: without it nothing would ever be granted.
    const leftMs = this.#isHasty ? ROUND_MS : Math.max(mayWait ? budget.reserveWaitMs : 0, ROUND_MS) - this.#waitedMs;
    if (leftMs <= 0) return { kind: "timeUp" };
    const { runtime } = leases;
    const startedMs = runtime.monotonicMs();
    const turn = book.wait(needNanoUsd, runtime.nowMs());
    const timeUp = (): void => turn.leave({ kind: leases.isOverdue ? "unavailable" : "timeUp" });
    const stopTimer = runtime.startTimer(timeUp, leftMs, true);
    try {
      return await waitFor(() => turn.ended);
    } catch (error) {
      // It may have been let in when it was stopped.
      void turn.ended.then((end) => {
        if (end.kind === "held") end.hold.settle(0);
      });
      throw error;
    } finally {
      stopTimer();
      turn.leave({ kind: "timeUp" });
      this.#waitedMs += runtime.monotonicMs() - startedMs;
    }
  }

  /** With as many tokens of output as what is left allows, `minTokens` at least. */
  async #clamped(tooDear: TooLarge | Held, waitFor: WaitFor): Promise<Outcome> {
    const { priced, account } = tooDear;
    const { asked, choice } = priced;
    const restNanoUsd = tooDear.kind === "tooLarge" ? tooDear.restNanoUsd : (account.book.held?.restNanoUsd ?? 0);
    const tooLarge = { kind: "tooLarge", priced, account, restNanoUsd } as const;
    const body = asked.body ?? {};
    const most = body["max_tokens"];
    if (typeof most !== "number") return tooLarge;
    const least = Math.min(most, account.budget.minTokens);
    const within = this.#tokensWithin(asked, most, restNanoUsd) ?? 0;
    if (within < least) return tooLarge;
    // What nobody holds is to be had at once; for the least that will do it is worth waiting.
    const tokens = Math.max(least, this.#tokensWithin(asked, within, spareOf(account, restNanoUsd)) ?? 0);
    const clamped = clampOne(body, tokens);
    const lowered = withBody(asked, clamped);
    const worst = this.#worst(lowered);
    if (worst.kind === "unbounded") return tooLarge;
    const set = { ...choice.step?.set };
    if (clamped["thinking"] !== body["thinking"]) set["thinking"] = clamped["thinking"];
    const step = { ...choice.step, model: choice.model, maxTokens: tokens, set };
    return this.#takeInTurn(
      { ...priced, asked: lowered, nanoUsd: worst.nanoUsd, choice: { ...choice, step } },
      waitFor,
    );
  }

  /** The most tokens of output, up to `most`, with which it costs no more than this; null when not even one fits. */
  #tokensWithin(asked: Asked, most: number, nanoUsd: number): number | null {
    const costWith = (tokens: number): number => {
      const worst = this.#worst(withBody(asked, { ...asked.body, max_tokens: tokens }));
      return worst.kind === "bounded" ? worst.nanoUsd : Number.POSITIVE_INFINITY;
    };
    const least = costWith(1);
    if (least > nanoUsd) return null;
    const each = (costWith(most) - least) / Math.max(1, most - 1);
    const tokens = Math.min(most, 1 + Math.floor((nanoUsd - least) / Math.max(each, Number.MIN_VALUE)));
    // A nano-USD may be rounded up.
    return costWith(tokens) <= nanoUsd ? tokens : Math.max(1, tokens - 1);
  }

  #counting(budget: SnapshotBudget): (model: string) => boolean {
    const { spender, host } = this.#input;
    return (model) => subjectOf(budget, { ...spender, model }, host.models.nameOf) !== null;
  }
}

function withBody(asked: Asked, body: Body): Asked {
  return { ...asked, body, encoded: () => JSON.stringify(body) };
}

/** What a caller is told of money that is not to be had. */
function refusalOf(outcome: Exclude<Outcome, { kind: "afforded" }>): BudgetRefusal {
  if (outcome.kind !== "tooLarge") return outcome.refusal;
  const { account, priced, restNanoUsd } = outcome;
  return refusedAsTooLarge(account.budget.name, priced.nanoUsd, restNanoUsd);
}

/** What is left and held by nobody. */
function spareOf({ book }: Account, restNanoUsd: number): number {
  return Math.min(restNanoUsd, restNanoUsd - (book.held?.heldNanoUsd ?? 0) + book.idleNanoUsd);
}
