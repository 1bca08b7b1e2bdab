/**
 * The chain of the audit: each row is sealed over the seal of the row before it, so that an altered, missing, added or
 * moved row is found. There is one chain per environment and one for what belongs to none.
 */
import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";
import type { AuditRow } from "./db/types.ts";

const KEY_BYTES = 32;
const KEY_ID_CHARS = 12;

export interface SealKey {
  /** Tells keys apart; says nothing of them. */
  id: string;
  key: Uint8Array;
}

/** The key of seals that follows from a signing secret. */
export function sealKeyOf(secret: string): SealKey {
  const key = new Uint8Array(hkdfSync("sha256", secret, "", "andon audit v1", KEY_BYTES));
  const id = createHmac("sha256", key).update("id").digest("base64url").slice(0, KEY_ID_CHARS);
  return { id, key };
}

/** What a seal says of its row; the same for the row as it is written and as it is read back. */
export type Sealed = Omit<AuditRow, "id" | "sealText" | "sealKey" | "seal">;

/** The row as the text that is sealed: its fields and theirs in the order of their names. */
export function sealTextOf(row: Sealed): string {
  const { environmentId, seq, revision, at, actor, action, targetKind, target } = row;
  const { reason, before, after, requestId, reverts } = row;
  const about = { environmentId, seq, revision, at, actor, action, targetKind, target };
  return JSON.stringify(sorted(JSON.parse(JSON.stringify({ ...about, reason, before, after, requestId, reverts }))));
}

/** @param previous the seal of the row before it in its chain, "" for the first one */
export function sealOf({ key }: SealKey, previous: string, text: string): string {
  return createHmac("sha256", key).update(`${previous}\n${text}`).digest("base64url");
}

export function isSeal(key: SealKey, previous: string, text: string, seal: string): boolean {
  const [is, should] = [Buffer.from(seal), Buffer.from(sealOf(key, previous, text))];
  return is.length === should.length && timingSafeEqual(is, should);
}

/** The database keeps no order of keys, so the text has one of its own. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, inner]) => [name, sorted(inner)]));
}
