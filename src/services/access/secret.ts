/** Secrets are stored as their SHA-256 only. They are long and random, so a slow hash would add nothing. */
import { createHash } from "node:crypto";

/** The hex SHA-256 of a token or link secret. */
export function hashSecret(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}
