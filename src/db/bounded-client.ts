/**
 * A postgres.js client that never hangs: a query or transaction past its deadline destroys the pool, which rejects all
 * that was under way, and the next query starts on a new pool. The server's own deadlines (statement, lock) are
 * shorter; so this one acts only when the database does not answer at all.
 */
import { drizzle } from "drizzle-orm/postgres-js";
import type { Logger } from "pino";
import postgres from "postgres";
import { CommitUnknownError, isDatabaseAway } from "./away.ts";

/** From sending a query or BEGIN to its end. */
export const DATABASE_DEADLINE_MS = 5000;
const STATEMENT_TIMEOUT_MS = 4000;
const LOCK_TIMEOUT_MS = 3000;
/** A server that died or hung in a transaction must not hold an environment's lock for long. */
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 5000;
const CONNECT_TIMEOUT_SECONDS = 4;
const RECONNECT_DELAY_SECONDS = 0.1;

export interface ClientOptions {
  url: string;
  log: Logger;
  /** Shown in pg_stat_activity. */
  name: string;
  maxConnections: number;
  /** False for work that may take long: migrations and LISTEN. */
  deadlines: boolean;
}

/** One pool, without the deadline of this process. */
export function openClient({ url, log, name, maxConnections, deadlines }: ClientOptions): postgres.Sql {
  return postgres(url, {
    max: maxConnections,
    connect_timeout: CONNECT_TIMEOUT_SECONDS,
    backoff: () => RECONNECT_DELAY_SECONDS,
    onnotice: (notice) => log.debug({ notice: notice["message"] }, "notice from the database"),
    connection: {
      application_name: name,
      ...(deadlines && {
        statement_timeout: STATEMENT_TIMEOUT_MS,
        lock_timeout: LOCK_TIMEOUT_MS,
        idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
      }),
    },
  });
}

export class BoundedClient {
  readonly #options: ClientOptions;
  #live: postgres.Sql;
  #closed = false;
  /** What Drizzle is given: the current pool, under deadlines. */
  readonly client: postgres.Sql;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#live = this.#open();
    this.client = new Proxy(this.#live, {
      get: (_, property) => {
        if (property === "unsafe") return this.#unsafe;
        if (property === "begin") return this.#begin;
        return Reflect.get(this.#live, property, this.#live);
      },
    });
  }

  /** Ends the pool; what is under way gets `graceMs` to finish. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true;
    await this.#live.end({ timeout: graceMs / 1000 });
  }

  #open(): postgres.Sql {
    const pool = openClient(this.#options);
    // Drizzle sets its own parsers on the client that it is made for; a later pool needs them as well.
    drizzle({ client: pool });
    return pool;
  }

  readonly #unsafe = <T extends postgres.Row[]>(
    query: string,
    parameters?: postgres.ParameterOrJSON<never>[],
    options?: postgres.UnsafeQueryOptions,
  ): postgres.PendingQuery<T> => {
    const pending = this.#live.unsafe<T>(query, parameters, options);
    const disarm = this.#arm();
    pending.then(disarm, disarm);
    return pending;
  };

  // postgres.js has an overload with isolation options; Drizzle uses the plain one only.
  readonly #begin = async <T>(work: (sql: postgres.TransactionSql) => T | Promise<T>): Promise<unknown> => {
    const disarm = this.#arm();
    let committing = false;
    try {
      return await this.#live.begin(async (transaction) => {
        const value = await work(transaction);
        committing = true;
        return value;
      });
    } catch (error) {
      throw committing && isDatabaseAway(error) ? new CommitUnknownError(error) : error;
    } finally {
      disarm();
    }
  };

  /** Starts one deadline; returns what stops it. */
  #arm(): () => void {
    const pool = this.#live;
    const timer = setTimeout(() => this.#giveUp(pool), DATABASE_DEADLINE_MS);
    timer.unref();
    return () => clearTimeout(timer);
  }

  #giveUp(pool: postgres.Sql): void {
    if (pool !== this.#live || this.#closed) return;
    this.#options.log.warn(
      { pool: this.#options.name, deadlineMs: DATABASE_DEADLINE_MS },
      "the database does not answer; connections are dropped",
    );
    this.#live = this.#open();
    pool
      .end({ timeout: 0 })
      .catch((error: unknown) => this.#options.log.warn({ err: error }, "a dropped pool did not end"));
  }
}
