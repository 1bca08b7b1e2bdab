/**
 * The events of a client and a small typed emitter. A listener that throws is logged and hurts neither the client nor
 * the other listeners.
 */
import type { AndonLogger } from "./logger.ts";
import type { Revision } from "./wire/revision.ts";
import type { BudgetNews } from "./wire/verdict-protocol.ts";

export interface AndonEvents {
  /** A new revision decides from now on. */
  change: { revision: Revision; previous: Revision | null };
  /** No contact with the server for too long; decisions go on by the last known state. Age null: none was ever made. */
  stale: { staleMs: number | null; revision: Revision | null };
  /** Contact is back after `stale`. */
  live: { revision: Revision | null };
  /** A budget switched this flag off. */
  trip: { flag: string; revision: Revision };
  /** A budget of one user or session warns, holds it or lets it go, wherever its calls ran. Needs a guard. */
  budget: BudgetNews;
}

export type AndonEvent = keyof AndonEvents;
export type AndonListener<Event extends AndonEvent> = (details: AndonEvents[Event]) => void;

export class Emitter {
  readonly #listeners: { [Event in AndonEvent]: Set<AndonListener<Event>> } = {
    change: new Set(),
    stale: new Set(),
    live: new Set(),
    trip: new Set(),
    budget: new Set(),
  };
  readonly #logger: AndonLogger;

  constructor(logger: AndonLogger) {
    this.#logger = logger;
  }

  on<Event extends AndonEvent>(event: Event, listener: AndonListener<Event>): void {
    this.#known(event)?.add(listener);
  }

  off<Event extends AndonEvent>(event: Event, listener: AndonListener<Event>): void {
    this.#known(event)?.delete(listener);
  }

  emit<Event extends AndonEvent>(event: Event, details: AndonEvents[Event]): void {
    // A copy: listeners may come and go while they are called.
    for (const listener of Array.from(this.#listeners[event])) {
      callSafely(() => listener(details), event, this.#logger);
    }
  }

  #known<Event extends AndonEvent>(event: Event): Set<AndonListener<Event>> | undefined {
    if (Object.hasOwn(this.#listeners, event)) return this.#listeners[event];
    this.#logger.error({ event }, "Andon has no such event; known: change, stale, live, trip, budget");
    return undefined;
  }
}

/** Runs a callback of the application; what it throws is logged. */
export function callSafely(callback: () => void, event: string, logger: AndonLogger): void {
  try {
    callback();
  } catch (error) {
    // The application's fault must not stop polling, nor hide the news from other listeners.
    logger.error({ event, err: error }, "A listener of Andon threw");
  }
}
