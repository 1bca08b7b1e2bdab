/**
 * A few connections shared by all, under one promise: whoever asks has an answer or an error within the deadline. The
 * server's own deadlines (statement, lock) are shorter; so the one here acts only when the database does not answer at
 * all, and then breaks the connection off.
 */
import postgres from "postgres";
import { CommitUnknownError, isDatabaseAway } from "./away.ts";
import { type ClientOptions, Connection, type Parameters, type Sent } from "./connection.ts";

/** From asking for a connection to the end of the query or transaction. */
export const DATABASE_DEADLINE_MS = 5000;
/** Callers that wait for a connection; beyond it they are refused at once. */
const WAITING_MAX = 1000;

export interface PoolOptions extends Omit<ClientOptions, "onClose"> {
  maxConnections: number;
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
  /** What Drizzle is given; it never connects itself. */
  readonly client: postgres.Sql;

  constructor(options: PoolOptions) {
    this.#options = options;
    const facade: Partial<Record<string | symbol, unknown>> = {
      unsafe: (query: string, parameters?: Parameters, settings?: postgres.UnsafeQueryOptions) =>
        this.query(query, parameters, settings),
      begin: (work: (sql: postgres.Sql) => Promise<unknown>) => this.#transaction(work),
    };
    this.client = overlay(postgres(options.url, { max: 1 }), facade);
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

  /** The transaction as Drizzle wants it: `work` gets a client of one connection. */
  #transaction(work: (sql: postgres.Sql) => Promise<unknown>): Promise<unknown> {
    return this.#run(async (connection) => {
      await connection.query("begin");
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
    });
  }

  async #run<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    const deadlineMs = performance.now() + DATABASE_DEADLINE_MS;
    const connection = await this.#acquire();
    const timer = setTimeout(
      () => {
        this.#options.log.warn(
          { pool: this.#options.name },
          "the database does not answer; a connection is broken off",
        );
        connection.destroy();
      },
      Math.max(0, deadlineMs - performance.now()),
    );
    timer.unref();
    try {
      return await work(connection);
    } catch (error) {
      // A connection that failed to be made may try again by itself: it is not given a second chance.
      if (!connection.lost && isDatabaseAway(error) && !isRefusal(error)) connection.destroy();
      throw error;
    } finally {
      clearTimeout(timer);
      this.#release(connection);
    }
  }

  #acquire(): Promise<Connection> {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (idle.lost) continue;
      this.#busy.add(idle);
      return Promise.resolve(idle);
    }
    if (this.#busy.size < this.#options.maxConnections) {
      const made = new Connection(this.#options);
      this.#busy.add(made);
      return Promise.resolve(made);
    }
    if (this.#waiting.size >= WAITING_MAX) {
      return Promise.reject(new DeadlineError(`${WAITING_MAX} callers wait for the database already.`));
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
        () => waiter.refuse(new DeadlineError("No connection to the database became free in time.")),
        DATABASE_DEADLINE_MS,
      );
      timer.unref();
      this.#waiting.add(waiter);
    });
  }

  #release(connection: Connection): void {
    this.#busy.delete(connection);
    const [waiter] = this.#waiting;
    if (waiter !== undefined) {
      const next = connection.lost ? new Connection(this.#options) : connection;
      this.#busy.add(next);
      waiter.take(next);
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

/** True for an answer of a living server (an SQLSTATE): the connection is good. */
function isRefusal(error: unknown): boolean {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof postgres.PostgresError && !/^(08|57P)/.test(cause.code);
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
