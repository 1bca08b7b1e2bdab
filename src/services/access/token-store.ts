/**
 * Who a token belongs to, in memory: authentication works while the database is away. Knows hashes; a token that was
 * presented is remembered with its hash only so that polls do not hash each time, and is looked up afresh every time.
 */
import { isNull } from "drizzle-orm";
import type { Clock } from "../../clock.ts";
import type { Session, TokenStore } from "../../deps.ts";
import { endedSessions, tokens } from "../../db/schema/state.ts";
import type { Db } from "../../db/types.ts";
import type { Actor } from "../../domain/actor.ts";
import { Coalesced } from "../shared/coalesce.ts";
import { hashSecret } from "./secret.ts";

/** Presented tokens remembered; beyond it the memory starts anew. */
const PRESENTED_MAX = 10_000;
/** Longer than any token that we make. */
const TOKEN_MAX_CHARS = 256;

interface Entry {
  actor: Actor;
  expiresAtMs: number | null;
  sessionsFromMs: number | null;
}

export class DatabaseTokenStore implements TokenStore {
  readonly #db: Db;
  readonly #clock: Clock;
  readonly #refresh = new Coalesced(() => this.#read());
  readonly #hashes = new Map<string, string>();
  #byHash = new Map<string, Entry>();
  #byId = new Map<string, Entry>();
  #ended: ReadonlySet<string> = new Set();

  constructor(options: { db: Db; clock: Clock }) {
    this.#db = options.db;
    this.#clock = options.clock;
  }

  find(token: string): Actor | null {
    if (token.length > TOKEN_MAX_CHARS) return null;
    return this.#valid(this.#byHash.get(this.#hashOf(token)));
  }

  byId(id: string): Actor | null {
    return this.#valid(this.#byId.get(id));
  }

  hasEnded({ id, tokenId, issuedAtMs }: Session): boolean {
    const fromMs = this.#byId.get(tokenId)?.sessionsFromMs ?? null;
    return this.#ended.has(id) || (fromMs !== null && issuedAtMs <= fromMs);
  }

  refresh(): Promise<void> {
    return this.#refresh.run();
  }

  #valid(entry: Entry | undefined): Actor | null {
    if (entry === undefined) return null;
    const expired = entry.expiresAtMs !== null && entry.expiresAtMs <= this.#clock.nowMs();
    return expired ? null : entry.actor;
  }

  #hashOf(token: string): string {
    const known = this.#hashes.get(token);
    if (known !== undefined) return known;
    const hash = hashSecret(token);
    // Only tokens that are good are worth remembering: made-up ones must not push them out.
    if (this.#byHash.has(hash)) {
      if (this.#hashes.size >= PRESENTED_MAX) this.#hashes.clear();
      this.#hashes.set(token, hash);
    }
    return hash;
  }

  async #read(): Promise<void> {
    const rows = await this.#db.select().from(tokens).where(isNull(tokens.revokedAt));
    const ended = await this.#db.select({ id: endedSessions.id }).from(endedSessions);
    const byHash = new Map<string, Entry>();
    const byId = new Map<string, Entry>();
    for (const row of rows) {
      const entry: Entry = {
        actor: { kind: row.kind, id: row.id, name: row.name, role: row.role, environmentIds: row.environmentIds },
        expiresAtMs: row.expiresAt?.getTime() ?? null,
        sessionsFromMs: row.sessionsFrom?.getTime() ?? null,
      };
      byId.set(row.id, entry);
      if (row.hash !== null) byHash.set(row.hash, entry);
    }
    this.#byHash = byHash;
    this.#byId = byId;
    this.#ended = new Set(ended.map(({ id }) => id));
    this.#hashes.clear();
  }
}
