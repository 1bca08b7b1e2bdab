/**
 * One connection to PostgreSQL, used once it is taken by one caller at a time and thrown away when it breaks. A
 * postgres.js client that reconnects by itself is not used: in 3.4.9 a query that meets a socket just closed ends the
 * process, and a connection that broke with unsent bytes never sends again
 * (https://github.com/porsager/postgres/issues/1154, https://github.com/porsager/postgres/issues/1208).
 */
import { drizzle } from "drizzle-orm/postgres-js";
import type { Logger } from "pino";
import postgres from "postgres";

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
  /** False for work that may take long: migrations and LISTEN. */
  deadlines: boolean;
  /** Called at once when a connection closed. */
  onClose?: () => void;
}

/** A postgres.js client of one connection, made when it is first used. */
export function openClient({ url, log, name, deadlines, onClose }: ClientOptions): postgres.Sql {
  return postgres(url, {
    max: 1,
    max_lifetime: null,
    fetch_types: false,
    connect_timeout: CONNECT_TIMEOUT_SECONDS,
    backoff: () => RECONNECT_DELAY_SECONDS,
    onnotice: (notice) => log.debug({ notice: notice["message"] }, "notice from the database"),
    ...(onClose && { onclose: onClose }),
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

export class ConnectionLostError extends Error {
  override readonly name = "ConnectionLostError";
  readonly code = "CONNECTION_CLOSED";

  constructor() {
    super("The connection to the database was lost.");
  }
}

export type Parameters = postgres.ParameterOrJSON<never>[];

export class Connection {
  readonly client: postgres.Sql;
  readonly #log: Logger;
  #lost = false;

  constructor(options: Omit<ClientOptions, "onClose">) {
    this.#log = options.log;
    this.client = openClient({
      ...options,
      onClose: () => {
        this.#lost = true;
      },
    });
    // For its side effect: Drizzle sets its own parsers on a client that it is made for.
    drizzle({ client: this.client });
  }

  /** True once it broke or was destroyed: nothing may be sent on it any more. */
  get lost(): boolean {
    return this.#lost;
  }

  /** Sends one query. Rejects at once on a lost connection, where postgres.js would end the process. */
  query(query: string, parameters?: Parameters, options?: postgres.UnsafeQueryOptions): Sent {
    if (!this.#lost) return this.client.unsafe<postgres.Row[]>(query, parameters, options);
    const rejected = Promise.reject<postgres.Row[]>(new ConnectionLostError());
    return Object.assign(rejected, { values: () => rejected });
  }

  /** Breaks it off: what is under way rejects. */
  destroy(): void {
    this.#lost = true;
    this.#end(0);
  }

  /** Ends it in peace. */
  close(graceMs: number): Promise<void> {
    this.#lost = true;
    return this.client.end({ timeout: graceMs / 1000 });
  }

  #end(graceMs: number): void {
    this.close(graceMs).catch((error: unknown) => this.#log.warn({ err: error }, "a connection did not end"));
  }
}

/** A query under way: its rows, or by `values()` the rows as arrays. */
export type Sent = Promise<postgres.Row[]> & { values(): Promise<postgres.Row[]> };
