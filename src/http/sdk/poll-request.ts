/** What a client says with a poll, parsed once and bounded. */
import type { IncomingHttpHeaders } from "node:http";
import {
  HEADER_APP,
  HEADER_BOOT,
  HEADER_INSTANCE,
  HEADER_LOCAL,
  HEADER_SDK,
  LOCAL_MAX_CHARS,
  MAX_WAIT_SECONDS,
} from "../../../sdk-client/src/wire/protocol.ts";
import { parseRevision } from "../../../sdk-client/src/wire/revision.ts";
import { type Fault, AppError } from "../../errors.ts";

export const INSTANCE_MAX_CHARS = 128;
const LABEL_MAX_CHARS = 128;
const BOOT_MAX_CHARS = 64;
const ETAG_MAX_CHARS = 128;

const PRINTABLE = /^[\x20-\x7e]*$/;
const BEARER = /^Bearer +([\w.~+/=-]{1,512})$/i;
const ETAG = /^\s*(?:W\/)?"([^"]*)"\s*$/;
const WAIT = /(?:^|[\s,;])wait=(\d+)(?:$|[\s,;])/i;

/** Reads one header by its lower-case name; undefined when it was not sent. */
export type HeaderReader = (name: string) => string | undefined;

/** Reads the headers that Node parsed already; asking a `Request` would parse them again. */
export function nodeHeaders(headers: IncomingHttpHeaders): HeaderReader {
  return (name) => {
    const value = headers[name];
    return Array.isArray(value) ? value.join(", ") : value;
  };
}

export interface PollLabels {
  instance: string | null;
  /** Tells processes of one name apart; "" from a client that does not send it. */
  boot: string;
  app: string | null;
  sdk: string | null;
}

/** The token of `Authorization: Bearer …`, null without one. */
export function bearerOf(header: HeaderReader): string | null {
  return BEARER.exec(header("authorization") ?? "")?.[1] ?? null;
}

/** Who polls. Throws INVALID naming each header that is too long or not printable ASCII. */
export function labelsOf(header: HeaderReader): PollLabels {
  const faults: Fault[] = [];
  const label = (name: string, maxChars: number): string | null => {
    const value = header(name.toLowerCase());
    if (value === undefined || value === "") return null;
    if (value.length <= maxChars && PRINTABLE.test(value)) return value;
    faults.push({ path: name, message: `expected 1 to ${maxChars} printable ASCII characters` });
    return null;
  };
  const labels = {
    instance: label(HEADER_INSTANCE, INSTANCE_MAX_CHARS),
    boot: label(HEADER_BOOT, BOOT_MAX_CHARS) ?? "",
    app: label(HEADER_APP, LABEL_MAX_CHARS),
    sdk: label(HEADER_SDK, LABEL_MAX_CHARS),
  };
  const [first] = faults;
  if (first !== undefined) throw new AppError("INVALID", `${first.path}: ${first.message}`, { faults });
  return labels;
}

/**
 * What the client's `ANDON_KILL` holds off, as keys of flags separated by commas, or `*`; null for nothing. What is too
 * long to be kept counts as all: an instance that refuses must never look as if it did not.
 */
export function localOf(header: HeaderReader): string | null {
  const value = header(HEADER_LOCAL.toLowerCase());
  if (value === undefined) return null;
  if (value.length > LOCAL_MAX_CHARS) return "*";
  const names = value
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "" && PRINTABLE.test(name));
  if (names.includes("*")) return "*";
  return names.length === 0 ? null : [...new Set(names)].toSorted().join(",");
}

/** The revision of `If-None-Match`; null when there is none or it is none of ours. */
export function appliedOf(header: HeaderReader): { lineage: string; n: number } | null {
  const value = header("if-none-match");
  if (value === undefined || value.length > ETAG_MAX_CHARS) return null;
  const revision = ETAG.exec(value)?.[1];
  return revision === undefined ? null : parseRevision(revision);
}

/** Milliseconds that the client is ready to wait for a change; 0 when it is not. */
export function waitMsOf(header: HeaderReader): number {
  const seconds = WAIT.exec(header("prefer") ?? "")?.[1];
  return seconds === undefined ? 0 : Math.min(Number(seconds), MAX_WAIT_SECONDS) * 1000;
}

/** True when the client takes gzip. A refusal by `q=0` counts. */
export function acceptsGzip(header: HeaderReader): boolean {
  const value = header("accept-encoding");
  return value !== undefined && /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))/i.test(value);
}
