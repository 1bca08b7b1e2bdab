/**
 * A few connections shared by all, under one promise: whoever asks has an answer or an error within the deadline. The
 * server's own deadlines (statement, lock) are shorter; so the one here acts only when the database does not answer at
 * all, and then breaks the connection off.
 */
import postgres from "postgres";
import { systemClock } from "../clock.ts";
import { CommitUnknownError, isDatabaseAway, isReadOnly, OverloadError, ReadOnlyError } from "../database-away.ts";
import { type ClientOptions, Connection, type Parameters, type Sent } from "./connection.ts";
import type { Pulse } from "./pulse.ts";

/** From asking for a connection to the end of the query or transaction. */
export const DATABASE_DEADLINE_MS = 5000;

export interface PoolOptions extends Omit<ClientOptions, "onClose"> {
  maxConnections: number;
  /** How long a caller waits for a connection, at most. */
  waitMs: number;
  /** Callers that wait for a connection; beyond it they are refused at once. */
  waitingMax: number;
  /** Given: nobody waits while the database is known to be silent. */
  pulse?: Pulse;
  /** Called when a session did not answer or may not write: those of all pools are not to be trusted any more. */
  onSuspect: () => void;
}

/** The database did not answer in time. */
class DeadlineError extends Error {
  override readonly name = "DeadlineError";
  readonly code = "ETIMEDOUT";
}

interface Waiter {
  take(connection: Connection): void;
  refuse(error: Error): void;
}

export class Pool {
  readonly #options: PoolOptions;
  readonly #idle: Connection[] = [];
  readonly #busy = new Set<Connection>();
  readonly #waiting = new Set<Waiter>();
  /** When a session was last given back in good order: then it is not the database that lets callers wait. */
  #servedMs = Number.NEGATIVE_INFINITY;
  /** What Drizzle is given; it never connects itself. */
  readonly client: postgres.Sql;

  constructor(options: PoolOptions) {
    this.#options = options;
    options.pulse?.onSilent(() => this.#giveUp());
    const facade: Partial<Record<string | symbol, unknown>> = {
      unsafe: (query: string, parameters?: Parameters, settings?: postgres.UnsafeQueryOptions) =>
        this.query(query, parameters, settings),
      begin: (work: (sql: postgres.Sql) => Promise<unknown>) => this.#transaction(work),
    };
    this.client = overlay(postgres(options.target.url, { max: 1 }), facade);
  }

  /** One query on any connection. */
  query(query: string, parameters?: Parameters, settings?: postgres.UnsafeQueryOptions): Sent {
    let asValues = false;
    // Drizzle asks for `values()` in the same turn, before this begins.
    const result = Promise.resolve().then(() =>
      this.#run(async (connection) => {
        const sent = connection.query(query, parameters, settings);
        return asValues ? sent.values() : sent;
      }),
    );
    return Object.assign(result, {
      values: () => {
        asValues = true;
        return result;
      },
    });
  }

  /** Ends idle connections at once and gives busy ones `graceMs`. */
  async close(graceMs: number): Promise<void> {
    for (const waiter of this.#waiting) waiter.refuse(new DeadlineError("The database connections are being closed."));
    await Promise.all([...this.#idle.splice(0), ...this.#busy].map((connection) => connection.close(graceMs)));
  }

  /** Ends idle sessions and lets busy ones end with their work: whoever asks from now on gets a new one. */
  renew(): void {
    for (const connection of this.#idle.splice(0)) connection.destroy();
    for (const connection of this.#busy) connection.retire();
  }

  /** The transaction as Drizzle wants it: `work` gets a client of one connection. */
  #transaction(work: (sql: postgres.Sql) => Promise<unknown>): Promise<unknown> {
    return this.#run(async (connection) => {
      let value: unknown;
      try {
        value = await work(transactionClient(connection));
      } catch (error) {
        // A lost connection has rolled back by itself.
        if (!connection.lost) await connection.query("rollback");
        throw error;
      }
      await commit(connection);
      return value;
    }, "transaction");
  }

  async #run<T>(work: (connection: Connection) => Promise<T>, kind: "query" | "transaction" = "query"): Promise<T> {
    const deadlineMs = systemClock.monotonicMs() + DATABASE_DEADLINE_MS;
    for (;;) {
      const connection = await this.#acquire();
      const wasOpen = connection.opened;
      const timer = setTimeout(() => this.#breakOff(connection), Math.max(0, deadlineMs - systemClock.monotonicMs()));
      timer.unref();
      try {
        const isReady = await this.#makeReady(connection, kind);
        if (isReady) return await work(connection);
        // Nothing was done on it. The next is a new session, which tells where the endpoint leads now.
        if (!wasOpen) throw new ReadOnlyError();
      } catch (error) {
        this.#judge(connection, error);
        // postgres.js 3.4.9 puts the place of rows that came before an error into the next answer of the session
        // (findings/postgres-next-answer-has-holes.sh). After a transaction that was its ROLLBACK's.
        if (kind === "query") connection.retire();
        throw error;
      } finally {
        clearTimeout(timer);
        this.#release(connection);
      }
    }
  }

  /** False when the session may not write; it is thrown away then. */
  async #makeReady(connection: Connection, kind: "query" | "transaction"): Promise<boolean> {
    try {
      await connection.open();
      if (kind === "transaction") await connection.begin();
      return true;
    } catch (error) {
      if (!(error instanceof ReadOnlyError)) throw error;
      connection.destroy();
      this.#options.onSuspect();
      return false;
    }
  }

  /** What an error says of the session. */
  #judge(connection: Connection, error: unknown): void {
    if (isReadOnly(error)) this.#options.onSuspect();
    // A connection that failed to be made may try again by itself: it is not given a second chance.
    if (!connection.lost && isDatabaseAway(error) && !isRefusal(error)) connection.destroy();
  }

  #breakOff(connection: Connection): void {
    const { log, name, onSuspect } = this.#options;
    log.warn({ pool: name }, "the database does not answer; a connection is broken off");
    connection.destroy();
    onSuspect();
  }

  /** The database is silent: who waits is told, and what hangs is broken off. */
  #giveUp(): void {
    for (const waiter of this.#waiting) waiter.refuse(new DeadlineError("The database is silent."));
    for (const connection of this.#busy) connection.destroy();
  }

  #acquire(): Promise<Connection> {
    const { maxConnections, pulse, waitingMax, waitMs } = this.#options;
    if (pulse?.silent === true) return Promise.reject(new DeadlineError("The database is silent."));
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (idle.lost) continue;
      if (idle.retired) {
        idle.destroy();
        continue;
      }
      this.#busy.add(idle);
      return Promise.resolve(idle);
    }
    if (this.#busy.size < maxConnections) return Promise.resolve(this.#make());
    const askedMs = systemClock.monotonicMs();
    if (this.#waiting.size >= waitingMax) {
      return Promise.reject(this.#refusal(`${waitingMax} callers wait for a connection already.`, askedMs - waitMs));
    }
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer);
        this.#waiting.delete(waiter);
      };
      const waiter: Waiter = {
        take: (connection) => {
          leave();
          resolve(connection);
        },
        refuse: (error) => {
          leave();
          reject(error);
        },
      };
      const timer = setTimeout(
        () => waiter.refuse(this.#refusal("No connection to the database became free in time.", askedMs)),
        waitMs,
      );
      timer.unref();
      this.#waiting.add(waiter);
    });
  }

  /** Somebody was served since: the database answers, and too many ask. Else it is the database that does not. */
  #refusal(message: string, sinceMs: number): Error {
    return this.#servedMs >= sinceMs ? new OverloadError(message) : new DeadlineError(message);
  }

  #make(): Connection {
    const made = new Connection(this.#options);
    this.#busy.add(made);
    return made;
  }

  #release(connection: Connection): void {
    this.#busy.delete(connection);
    if (!connection.lost) this.#servedMs = systemClock.monotonicMs();
    if (!connection.lost && connection.retired) connection.destroy();
    const [waiter] = this.#waiting;
    if (waiter !== undefined) {
      if (connection.lost) waiter.take(this.#make());
      else {
        this.#busy.add(connection);
        waiter.take(connection);
      }
    } else if (!connection.lost) {
      this.#idle.push(connection);
    }
  }
}

/** Sends COMMIT. Throws CommitUnknownError when the answer was lost. */
async function commit(connection: Connection): Promise<void> {
  let done: postgres.Row[];
  if (connection.lost) await connection.query("commit");
  try {
    done = await connection.query("commit");
  } catch (error) {
    throw isDatabaseAway(error) && !isRefusal(error) ? new CommitUnknownError(error) : error;
  }
  // In a transaction that a caught error has doomed, COMMIT rolls back and says so by its tag only.
  if ("command" in done && done.command === "ROLLBACK") {
    throw new Error("The transaction had failed before its commit and was rolled back.");
  }
}

/** True for an answer of a living primary (an SQLSTATE): the connection is good. */
export function isRefusal(error: unknown): boolean {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof postgres.PostgresError && !/^(08|57P|25006)/.test(cause.code);
}

function transactionClient(connection: Connection, depth = 0): postgres.Sql {
  return overlay(connection.client, {
    unsafe: (query: string, parameters?: Parameters, settings?: postgres.UnsafeQueryOptions) =>
      connection.query(query, parameters, settings),
    savepoint: async (work: (sql: postgres.Sql) => Promise<unknown>) => {
      const name = `s${depth}`;
      await connection.query(`savepoint ${name}`);
      try {
        const value = await work(transactionClient(connection, depth + 1));
        await connection.query(`release savepoint ${name}`);
        return value;
      } catch (error) {
        if (!connection.lost) await connection.query(`rollback to savepoint ${name}`);
        throw error;
      }
    },
  });
}

/** `client` with some of its functions replaced. */
function overlay(client: postgres.Sql, replaced: Partial<Record<string | symbol, unknown>>): postgres.Sql {
  return new Proxy(client, {
    get: (target, property) => (property in replaced ? replaced[property] : Reflect.get(target, property, target)),
  });
}
