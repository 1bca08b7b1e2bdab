/**
 * What the parameters of a DATABASE_URL mean. The driver sends those it does not know to the server as settings, which
 * refuses the connection in words that help nobody; so each is taken, passed over with a word, or refused here.
 */
import { readFileSync } from "node:fs";
import type { ConnectionOptions } from "node:tls";
import { StartError } from "../start-error.ts";

/** What the driver is given. */
export interface Target {
  /** Without parameters. */
  url: string;
  ssl: false | "prefer" | ConnectionOptions;
  /** Startup options of the server (`-c name=value`). */
  options: string | null;
  /** A folder of Unix sockets, or null for the host of the URL. */
  socketFolder: string | null;
  /** True when the URL names several hosts: the one that may be written to is looked for. */
  hasSeveralHosts: boolean;
  /** Parameters that were passed over, as they mean nothing here. */
  ignored: readonly string[];
}

type Parameters = ReadonlyMap<string, string>;

/** The target of a DATABASE_URL. Throws StartError naming every parameter that cannot be honoured, and why. */
export function parseDatabaseUrl(databaseUrl: string): Target {
  const url = new URL(databaseUrl);
  const parameters: Parameters = new Map(url.searchParams);
  const faults = [...parameters].flatMap(([name, value]) => {
    const fault = faultOf(name, value);
    return fault === null ? [] : [`  ${name}: ${fault}`];
  });
  if (faults.length > 0)
    throw new StartError(`DATABASE_URL has parameters that cannot be taken:\n${faults.join("\n")}`);
  url.search = "";
  return {
    url: url.href,
    ssl: sslOf(parameters),
    options: parameters.get("options") ?? null,
    socketFolder: parameters.get("host") ?? null,
    hasSeveralHosts: url.hostname.includes(","),
    ignored: [...parameters.keys()].filter((name) => IGNORED.has(name)),
  };
}

/** Those of other clients and poolers. Andon has its own limits and names, and finds out by itself what is between. */
const IGNORED: ReadonlySet<string> = new Set([
  "application_name",
  "connect_timeout",
  "connection_limit",
  "gssencmode",
  "keepalives",
  "keepalives_count",
  "keepalives_idle",
  "keepalives_interval",
  "krbsrvname",
  "pgbouncer",
  "pool_timeout",
  "socket_timeout",
  "sslcompression",
  "sslsni",
  "statement_cache_size",
  "uselibpqcompat",
]);
const TAKEN: ReadonlySet<string> = new Set(["options", "sslcert", "sslkey", "sslrootcert"]);
const SSL_MODES = ["disable", "allow", "prefer", "require", "no-verify", "verify-ca", "verify-full"] as const;
const WRITING_ATTRS: readonly string[] = ["any", "primary", "read-write"];
const OWN_SCHEMA = "Andon uses the default schema of its user: give it a database of its own and leave this out";

/** Why a parameter cannot be honoured; null when it can. */
function faultOf(name: string, value: string): string | null {
  if (IGNORED.has(name) || TAKEN.has(name)) return null;
  switch (name) {
    case "sslmode":
      return SSL_MODES.some((mode) => mode === value) ? null : `expected one of ${SSL_MODES.join(", ")}`;
    case "ssl":
      return value === "true" || value === "false" ? null : "expected true or false; or use sslmode";
    case "channel_binding":
      return value === "require"
        ? "channel binding is not supported; leave it out, and set sslmode=verify-full to be sure of the server"
        : null;
    case "target_session_attrs":
      return WRITING_ATTRS.includes(value) ? null : "Andon writes: expected any, primary or read-write";
    case "host":
      return value.startsWith("/") ? null : "expected a folder of Unix sockets; a host goes before the path";
    case "schema":
      return value === "public" ? null : OWN_SCHEMA;
    case "search_path":
    case "currentSchema":
      return OWN_SCHEMA;
    default:
      return "is not known; leave it out. A setting of the server goes into options=-c%20name%3Dvalue";
  }
}

/** As libpq means them: https://www.postgresql.org/docs/current/libpq-ssl.html */
function sslOf(parameters: Parameters): Target["ssl"] {
  const root = parameters.get("sslrootcert");
  const given = parameters.get("sslmode") ?? { true: "require", false: "disable" }[parameters.get("ssl") ?? ""];
  // Without a mode the driver speaks no TLS; whoever names a certificate wants it checked.
  const mode = given ?? (root === undefined ? "disable" : "verify-full");
  if (mode === "disable") return false;
  if (mode === "allow" || mode === "prefer") return "prefer";
  const files = {
    ...(root !== undefined && root !== "system" && { ca: readPem("sslrootcert", root) }),
    ...(parameters.has("sslcert") && { cert: readPem("sslcert", parameters.get("sslcert") ?? "") }),
    ...(parameters.has("sslkey") && { key: readPem("sslkey", parameters.get("sslkey") ?? "") }),
  };
  if (mode === "verify-full" || root === "system") return { ...files, rejectUnauthorized: true };
  const checksAuthority = mode === "verify-ca" || (mode === "require" && root !== undefined);
  if (!checksAuthority) return { ...files, rejectUnauthorized: false };
  return { ...files, rejectUnauthorized: true, checkServerIdentity: () => undefined };
}

function readPem(name: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new StartError(`DATABASE_URL: the file of ${name} cannot be read (${why}).`, { cause: error });
  }
}
