/**
 * Delivers the outbox: one alert at a time and oldest first within a channel, a few channels side by side, so that a slow
 * one holds up nobody else. A receiver gets each alert at least once, and again only when a server died or lost the
 * database between the receiver's answer and writing it down; then under the same message id.
 */
import { z } from "zod";
import type { Deps, Message } from "../../deps.ts";
import { isDatabaseAway } from "../../database-away.ts";
import { type Outcome, outcomeOf, type Sent } from "../../domain/delivery.ts";
import { type Lapsed, lapsedOf } from "../trips/of-incident.ts";
import { actionLinks } from "./action-links.ts";
import { alertSchema, digestOf } from "./digest.ts";
import { type Claimed, claimHeldWith, claimNext, dueChannels, keyOfPage, LEASE_MS, settle } from "./outbox.ts";

const MAX_CHANNELS_AT_ONCE = 16;
/** Alerts of one channel in one go; what is left has its turn a second later, after other channels had theirs. */
const MAX_ALERTS_IN_A_ROW = 50;
/** How late after its claim an alert may still be sent: its lease must outlast the attempt by far. */
const MAX_CLAIM_AGE_MS = LEASE_MS / 3;
/** Flags named in an alert that does not hold any more. */
const MAX_LAPSED_NAMED = 5;
const CLOSE_GRACE_MS = 3_000;

const stepSchema = z.looseObject({ incidentId: z.string(), step: z.looseObject({ action: z.string() }) });

/** " Not in force any more: support-chat, restored by maria 05:29 UTC." */
function lapsedText({ trips }: Lapsed): string {
  if (trips.length === 0) return "";
  const each = trips.slice(0, MAX_LAPSED_NAMED).map(({ flag, overriddenBy, at }) => {
    const how = overriddenBy === null ? "ended" : `restored by ${overriddenBy}`;
    return `${flag}, ${how} ${at.slice(0, 16).replace("T", " ")} UTC`;
  });
  const more = trips.length - each.length;
  return ` Not in force any more: ${each.join("; ")}${more > 0 ? `; and ${String(more)} more` : ""}.`;
}

type DeliveryDeps = Pick<Deps, "db" | "clock" | "log" | "notify" | "config" | "snapshots">;

export class AlertDelivery {
  readonly #deps: DeliveryDeps;
  readonly #random: () => number;
  /** What is under way, by channel. Never rejects. */
  readonly #busy = new Map<string, Promise<void>>();
  /** Sent, but the database was away when it was to be written down. At most one message a channel. */
  readonly #unwritten = new Map<number, { claimed: Claimed; outcome: Outcome }>();
  readonly #stop = new AbortController();
  #closing = false;

  constructor(deps: DeliveryDeps, random: () => number) {
    this.#deps = deps;
    this.#random = random;
  }

  /** Begins to deliver what is due and returns; receivers are not waited for. Rejects when the database does not answer. */
  async begin(): Promise<void> {
    if (this.#closing) return;
    await this.#writeDown();
    const free = MAX_CHANNELS_AT_ONCE - this.#busy.size;
    if (free <= 0) return;
    for (const channelId of await dueChannels(this.#deps.db, this.#now(), [...this.#busy.keys()], free)) {
      // Another turn may have begun with it meanwhile.
      if (this.#busy.has(channelId)) continue;
      const under = this.#deliver(channelId)
        .catch((error: unknown) => this.#report(error))
        .finally(() => this.#busy.delete(channelId));
      this.#busy.set(channelId, under);
    }
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    while (this.#busy.size > 0) await Promise.all(this.#busy.values());
  }

  /** Begins nothing more and waits for what is under way; breaks it off, to be sent again, after a short while. */
  async close(): Promise<void> {
    this.#closing = true;
    const timer = setTimeout(() => this.#stop.abort(), CLOSE_GRACE_MS);
    await this.idle();
    clearTimeout(timer);
    this.#stop.abort();
    try {
      await this.#writeDown();
    } catch (error) {
      this.#deps.log.warn({ err: error }, "what became of the last alerts was not written down; they are sent again");
    }
  }

  async #deliver(channelId: string): Promise<void> {
    const { db, clock } = this.#deps;
    for (let turn = 0; turn < MAX_ALERTS_IN_A_ROW && !this.#closing; turn += 1) {
      const claimedMs = clock.monotonicMs();
      const claimed = await claimNext(db, channelId, this.#now());
      // One that took too long is left to whoever comes after the lease.
      if (claimed === null || clock.monotonicMs() - claimedMs > MAX_CLAIM_AGE_MS) return;
      const batch: [Claimed, ...Claimed[]] = [claimed, ...(await this.#heldWith(claimed))];
      const sent = await this.#send(batch);
      for (const each of batch) this.#unwritten.set(each.id, { claimed: each, outcome: this.#outcome(each, sent) });
      await this.#writeDown(channelId);
    }
  }

  /** An alert may be taken hours later: it says then what does not hold any more. */
  async #sinceThen({ payload }: Claimed): Promise<string> {
    const step = stepSchema.safeParse(payload);
    if (!step.success) return "";
    const lapsed = await lapsedOf(this.#deps.db, step.data.incidentId);
    return lapsed === undefined || lapsed.action !== step.data.step.action ? "" : lapsedText(lapsed);
  }

  /** A page is closed by the key that opened it, whatever the channel's is now. */
  async #channelOf(claimed: Claimed): Promise<Claimed["channel"]> {
    const { channel, event } = claimed;
    if (channel.kind !== "pagerduty" || event === "trigger") return channel;
    return { ...channel, secret: (await keyOfPage(this.#deps.db, claimed)) ?? channel.secret };
  }

  /** What waited for the end of quiet hours comes as one digest. At PagerDuty each is an event of its own page. */
  async #heldWith(claimed: Claimed): Promise<Claimed[]> {
    const isDigest = claimed.heldUntil !== null && claimed.channel.kind !== "pagerduty";
    return isDigest ? claimHeldWith(this.#deps.db, claimed, this.#now()) : [];
  }

  async #send(batch: readonly [Claimed, ...Claimed[]]): Promise<Sent> {
    const [claimed] = batch;
    const message = batch.length > 1 ? digestOf(batch, this.#deps) : await this.#messageOf(claimed);
    if (message === null) {
      return { type: "refused", error: "This alert cannot be read; a newer version of Andon may have written it." };
    }
    return this.#deps.notify.send(await this.#channelOf(claimed), message, this.#stop.signal);
  }

  /** Null for what this version cannot read. */
  async #messageOf(claimed: Claimed): Promise<Message | null> {
    const { payload, messageId, event, severity } = claimed;
    const alert = alertSchema.safeParse(payload);
    if (!alert.success) return null;
    const text = `${alert.data.text}${await this.#sinceThen(claimed)}`;
    const actions = await actionLinks(this.#deps, claimed);
    return { id: messageId, event, alert: { ...alert.data, text, severity, actions } };
  }

  #outcome(claimed: Claimed, sent: Sent): Outcome {
    const { clock, log } = this.#deps;
    const { channel, attempts, createdAt } = claimed;
    const outcome = outcomeOf(sent, { createdAtMs: createdAt.getTime(), attempts }, clock.nowMs(), this.#random());
    const line = { channel: channel.name, alert: claimed.id, attempts };
    if (outcome.type === "delivered") log.info(line, "alert delivered");
    else if (outcome.type === "wait") log.warn({ ...line, reason: outcome.error }, "alert not delivered yet");
    else log.error({ ...line, reason: outcome.error }, "alert failed");
    return outcome;
  }

  /** Writes down what became of alerts of this channel; without one, what the database did not take before. */
  async #writeDown(channelId?: string): Promise<void> {
    for (const { claimed, outcome } of this.#unwritten.values()) {
      const { id } = claimed.channel;
      if (channelId === undefined ? this.#busy.has(id) : id !== channelId) continue;
      this.#unwritten.delete(claimed.id);
      try {
        await this.#write(claimed, outcome);
      } catch (error) {
        // With any other fault it is not tried for ever: the lease ends, and the alert is sent again.
        if (isDatabaseAway(error)) this.#unwritten.set(claimed.id, { claimed, outcome });
        throw error;
      }
    }
  }

  #write(claimed: Claimed, outcome: Outcome): Promise<void> {
    return settle(this.#deps.db, claimed, outcome, this.#now());
  }

  #now(): Date {
    return new Date(this.#deps.clock.nowMs());
  }

  #report(error: unknown): void {
    // That the database is away is said once, by the version check; the alert is written down at a later turn.
    if (isDatabaseAway(error)) this.#deps.log.debug({ err: error }, "alerts wait for the database");
    else this.#deps.log.error({ err: error }, "delivering alerts failed; it is tried again");
  }
}
