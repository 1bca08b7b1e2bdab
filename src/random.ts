/** The one source of chance: nothing else in `src` throws dice (the demo aside), so that tests can say what falls. */
import { randomBytes, randomUUID } from "node:crypto";

/** A random UUID (version 4). */
export const newId = (): string => randomUUID();

/** `bytes` random bytes as base64url. */
export const newSecret = (bytes: number): string => randomBytes(bytes).toString("base64url");

/** A fraction from 0 up to 1, for what must not happen everywhere at once. */
export const randomShare = (): number => Math.random();
