/**
 * One session of PostgreSQL, used once it is taken by one caller at a time and thrown away when it breaks, ages, or may
 * not write. A postgres.js client that reconnects by itself is not used: in 3.4.9 a query that meets a socket just
 * closed ends the process, and a connection that broke with unsent bytes never sends again
 * (https://github.com/porsager/postgres/issues/1154, https://github.com/porsager/postgres/issues/1208).
 */
import { drizzle } from "drizzle-orm/postgres-js";
import type { Logger } from "pino";
import postgres from "postgres";
import { systemClock } from "../clock.ts";
import { ReadOnlyError } from "../database-away.ts";
import { randomShare } from "../random.ts";
import type { Target } from "./database-url.ts";

const STATEMENT_TIMEOUT_MS = 4000;
const LOCK_TIMEOUT_MS = 3000;
/** A server that died or hung in a transaction must not hold an environment's lock for long. */
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 5000;
const CONNECT_TIMEOUT_SECONDS = 4;
const RECONNECT_DELAY_SECONDS = 0.1;
/** A session that is older is replaced, so that an endpoint that leads elsewhere by now is followed. */
export const SESSION_MAX_AGE_MS = 10 * 60_000;
/** Sessions made together do not end together: each has at least this share of the age. */
const AGE_SHARE_MIN = 0.5;

export interface ClientOptions {
  target: Target;
  log: Logger;
  /** Shown in pg_stat_activity. */
  name: string;
  /** Called at once when a connection closed. */
  onClose?: () => void;
}

/** A postgres.js client of one connection, made when it is first used. */
export function openClient({ target, log, name, onClose }: ClientOptions): postgres.Sql {
  const { url, ssl, options, socketFolder, hasSeveralHosts } = target;
  return postgres(url, {
    max: 1,
    ssl,
    ...(socketFolder !== null && { host: socketFolder }),
    // Only among several: with one that may not be written to, the driver fails without saying why, and we do say it.
    ...(hasSeveralHosts && { target_session_attrs: "read-write" }),
    max_lifetime: null,
    fetch_types: false,
    connect_timeout: CONNECT_TIMEOUT_SECONDS,
    backoff: () => RECONNECT_DELAY_SECONDS,
    onnotice: (notice) => log.debug({ notice: notice["message"] }, "notice from the database"),
    ...(onClose && { onclose: onClose }),
    connection: { application_name: name, ...(options !== null && { options }) },
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

/** Timeouts are set here and not at the start of the session, where PgBouncer refuses parameters that it does not know. */
const OPEN_SQL = `
  set statement_timeout = ${STATEMENT_TIMEOUT_MS};
  set lock_timeout = ${LOCK_TIMEOUT_MS};
  set idle_in_transaction_session_timeout = ${IDLE_IN_TRANSACTION_TIMEOUT_MS};
  show transaction_read_only`;
const BEGIN_SQL = "begin; show transaction_read_only";

export class Connection {
  readonly client: postgres.Sql;
  readonly #log: Logger;
  readonly #endMs =
    systemClock.monotonicMs() + SESSION_MAX_AGE_MS * (AGE_SHARE_MIN + randomShare() * (1 - AGE_SHARE_MIN));
  #lost = false;
  #opened = false;
  #retired = false;

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

  /** True when it has been used before. */
  get opened(): boolean {
    return this.#opened;
  }

  /** True when it may serve who has it and nobody after: it is old, or `retire` was called. */
  get retired(): boolean {
    return this.#retired || systemClock.monotonicMs() > this.#endMs;
  }

  /** Connects, when this is the first use. Throws ReadOnlyError when the session may not write. */
  async open(): Promise<void> {
    if (this.#opened) return;
    requireWritable(await this.#script(OPEN_SQL));
    this.#opened = true;
  }

  /** Begins a transaction. Throws ReadOnlyError, having done nothing, when it could not change anything. */
  async begin(): Promise<void> {
    requireWritable(await this.#script(BEGIN_SQL));
  }

  /** Sends one query. Rejects at once on a lost connection, where postgres.js would end the process. */
  query(query: string, parameters?: Parameters, options?: postgres.UnsafeQueryOptions): Sent {
    if (!this.#lost) return this.client.unsafe<postgres.Row[]>(query, parameters, options);
    const rejected = Promise.reject<postgres.Row[]>(new ConnectionLostError());
    return Object.assign(rejected, { values: () => rejected });
  }

  /** Nobody gets it any more; who has it may finish. */
  retire(): void {
    this.#retired = true;
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

  /** Several statements in one message. */
  #script(statements: string): Promise<postgres.Row[][]> {
    return this.#lost ? Promise.reject(new ConnectionLostError()) : this.client.unsafe<postgres.Row[][]>(statements);
  }

  #end(graceMs: number): void {
    this.close(graceMs).catch((error: unknown) => this.#log.warn({ err: error }, "a connection did not end"));
  }
}

/** Of several results the last one is that of `show transaction_read_only`. */
function requireWritable(results: readonly (readonly postgres.Row[])[]): void {
  if (results.at(-1)?.[0]?.["transaction_read_only"] !== "off") throw new ReadOnlyError();
}

/** A query under way: its rows, or by `values()` the rows as arrays. */
export type Sent = Promise<postgres.Row[]> & { values(): Promise<postgres.Row[]> };
