/**
 * The only reader of the environment. Everything is parsed once, before anything is opened; a faulty value refuses
 * to boot with every faulty name and what was expected, never with the value of a secret.
 */
import { z } from "zod";
import type { Smtp } from "./domain/channel.ts";
import { StartError } from "./start-error.ts";

export type DatabaseConfig =
  | { kind: "postgres"; url: string }
  /** PGlite in `<dataDir>/db`. */
  | { kind: "embedded"; dataDir: string }
  /** PGlite without a folder: for tests only, no variable leads here. */
  | { kind: "memory" };

export const LOG_LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Config {
  host: string;
  /** 0 takes a free port. */
  port: number;
  /** Where a browser reaches this server; no slash at the end. */
  publicUrl: string;
  database: DatabaseConfig;
  /** Signs sessions and links; at least 32 characters. */
  secret: string;
  adminToken: string | null;
  logLevel: LogLevel;
  /** How long single calls are kept, and how many per environment; the sums of the ledger stay. */
  recentCallsHours: number;
  recentCallsMax: number;
  /** How long the ledger's tables are kept, in days. */
  kept: KeptDays;
  /** Keys of the environments in which no breaker takes a model out; `*`: in none. */
  breakersOff: readonly string[];
  /** By which e-mail is sent; null: none is. */
  smtp: Smtp | null;
  reconciliation: Reconciliation;
}

/** How the ledger is held against Claude's own reports. */
export interface Reconciliation {
  /** A secret. Null: the reports are not asked for. */
  adminKey: string | null;
  /** No slash at the end. */
  baseUrl: string;
  /** Ids of workspaces (`default` for the one without) and of keys, by key of environment; null: the whole organisation. */
  workspaces: ReadonlyMap<string, readonly string[]> | null;
  /** A difference counts when it is more than both. */
  percent: number;
  minUsd: number;
}

/** Days that rows of the ledger are kept. */
export interface KeptDays {
  /** Sums by minute. */
  minutes: number;
  /** Sums by quarter of an hour, hour, day and month; names by day and month. */
  rollups: number;
  /** Names by hour. */
  topHours: number;
  /** Which batches were counted. */
  batches: number;
  /** Which results of message batches were counted. */
  results: number;
}

/** What the variables say: the secret may still have to be made (embedded database only). */
export interface Settings extends Omit<Config, "secret"> {
  secret: string | null;
  /** What is valid and yet likely not meant, in words for the operator. */
  warnings: readonly string[];
}

export interface Variable {
  name: string;
  /** As documented; empty when there is none. */
  default: string;
  description: string;
}

export const SECRET_MIN_CHARS = 32;
/** Single calls kept per environment. */
export const DEFAULT_RECENT_CALLS_MAX = 10_000;
export const DEFAULT_KEPT: KeptDays = { minutes: 100, rollups: 400, topHours: 35, batches: 3, results: 32 };
const ADMIN_TOKEN = /^andon_op_[A-Za-z0-9_-]{16,}$/;

/** Every variable, in the order of the documentation; `docs/configuration.md` is checked against it. */
export const VARIABLES: readonly Variable[] = [
  { name: "PORT", default: "4280", description: "TCP port to listen on; 0 takes a free one." },
  { name: "HOST", default: "127.0.0.1", description: "Address to listen on. Set `0.0.0.0` for all interfaces." },
  {
    name: "DATABASE_URL",
    default: "",
    description: "PostgreSQL 14 to 18, `postgres://…`. Unset: the embedded database in `ANDON_DATA_DIR`.",
  },
  { name: "ANDON_DATA_DIR", default: ".andon", description: "Folder of the embedded database. One process at a time." },
  {
    name: "ANDON_PUBLIC_URL",
    default: "http://HOST:PORT",
    description:
      "Where browsers reach this server, without a path. Links in alerts and for signing in are made of it; with `https` the session cookie is `Secure`. Set it whenever `HOST` is not this machine alone.",
  },
  {
    name: "ANDON_SECRET",
    default: "",
    description:
      "Signs sessions and the links in alerts; at least 32 characters, the same on every server. Required with `DATABASE_URL`; otherwise made on first run and kept in `ANDON_DATA_DIR`.",
  },
  {
    name: "ANDON_ADMIN_TOKEN",
    default: "",
    description:
      "An admin `op` token given from outside, for automation: `andon_op_` and at least 16 more letters, digits, `_` or `-`. Revoked when unset.",
  },
  {
    name: "ANDON_RECENT_CALLS_HOURS",
    default: "24",
    description: "How long single calls are kept; 1 to 720. Sums stay.",
  },
  {
    name: "ANDON_RECENT_CALLS_MAX",
    default: "10000",
    description: "How many single calls are kept per environment; 100 to 1000000.",
  },
  {
    name: "ANDON_USAGE_MINUTES_DAYS",
    default: "100",
    description:
      "Days that sums of usage by the minute are kept; 35 to 400. A month's budget that is edited needs its own.",
  },
  {
    name: "ANDON_USAGE_ROLLUPS_DAYS",
    default: "400",
    description:
      "Days that sums of usage by quarter of an hour, hour, day and month are kept, of users, sessions, apps and versions by day and month too; 35 to 4000, and no fewer than `ANDON_USAGE_MINUTES_DAYS`.",
  },
  {
    name: "ANDON_USAGE_TOP_HOURS_DAYS",
    default: "35",
    description:
      "Days that sums of the 1,000 users, sessions, apps and versions that cost most are kept by the hour; 32 to 400, and no more than `ANDON_USAGE_ROLLUPS_DAYS`.",
  },
  {
    name: "ANDON_USAGE_BATCHES_DAYS",
    default: "3",
    description:
      "Days that it is remembered which batches of usage were counted; 1 to 30. A client that is cut off for longer, after a batch whose answer it never got, counts that one twice.",
  },
  {
    name: "ANDON_USAGE_RESULTS_DAYS",
    default: "32",
    description:
      "Days that it is remembered which results of message batches were counted; 30 to 90. They can be read for 29 days.",
  },
  {
    name: "ANDON_BREAKERS_OFF",
    default: "",
    description: "Keys of environments in which no breaker takes a model out for the fleet, with commas; `*`: all.",
  },
  {
    name: "ANDON_ANTHROPIC_ADMIN_KEY",
    default: "",
    description:
      "Admin key of the Claude organisation (`sk-ant-admin…`): its usage and cost reports are read once an hour and compared with the ledger. Never logged or shown.",
  },
  {
    name: "ANDON_ANTHROPIC_BASE_URL",
    default: "https://api.anthropic.com",
    description: "Where these reports are asked for; `http` on this machine only.",
  },
  {
    name: "ANDON_ANTHROPIC_WORKSPACES",
    default: "",
    description:
      "Which workspaces or keys of the organisation each environment calls with: `production=wrkspc_01…+default,staging=apikey_01…`. `default` is the workspace without an id. Unset: the whole organisation is compared with all environments.",
  },
  {
    name: "ANDON_RECONCILE_PERCENT",
    default: "5",
    description:
      "A difference to Claude's bill is told of when it is more than so many percent of a day's model; 1 to 100.",
  },
  {
    name: "ANDON_RECONCILE_MIN_USD",
    default: "5",
    description: "And more than so many USD; 1 to 1000000.",
  },
  {
    name: "ANDON_SMTP_URL",
    default: "",
    description:
      "The mail server for e-mail alerts: `smtp://user:password@mail.example.com:587` (STARTTLS; required with a password) or `smtps://…` (TLS from the start). Unset: no e-mail is sent.",
  },
  {
    name: "ANDON_MAIL_FROM",
    default: "",
    description: "Whom e-mail alerts come from, such as `andon@example.com`. Required with `ANDON_SMTP_URL`.",
  },
  { name: "ANDON_LOG_LEVEL", default: "info", description: `One of ${LOG_LEVELS.join(", ")}.` },
];

export class ConfigError extends StartError {
  override readonly name = "ConfigError";
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(`Andon cannot start with this configuration:\n${faults.map((fault) => `  ${fault}`).join("\n")}`);
    this.faults = faults;
  }
}

function isUrl(value: string, protocols: readonly string[]): boolean {
  return URL.canParse(value) && protocols.includes(new URL(value).protocol);
}

/** The pages live at the root of their host: their links and cookies know no path before them. */
function isOrigin(value: string): boolean {
  if (!URL.canParse(value)) return true;
  const { pathname, search, hash, username } = new URL(value);
  return /^\/*$/.test(pathname) && search === "" && hash === "" && username === "";
}

/** A key that is sent there must not be read on the way. */
function isSafeOrigin(value: string): boolean {
  if (!isUrl(value, ["http:", "https:"])) return false;
  const { protocol, hostname, search, hash, username } = new URL(value);
  const isBare = search === "" && hash === "" && username === "";
  return isBare && (protocol === "https:" || LOOPBACK.test(hostname.replace(/^\[|\]$/g, "")));
}

const PLACES = /(?:default|wrkspc_\w+|apikey_\w+)(?:\+(?:default|wrkspc_\w+|apikey_\w+))*/.source;
const WORKSPACES = new RegExp(`^[a-z0-9-]+=${PLACES}(?: *, *[a-z0-9-]+=${PLACES})*$`);

function workspacesOf(value: string): ReadonlyMap<string, readonly string[]> {
  const map = new Map<string, readonly string[]>();
  for (const entry of value.split(/ *, */)) {
    const [environment = "", places = ""] = entry.split("=");
    map.set(environment, [...(map.get(environment) ?? []), ...places.split("+")]);
  }
  return map;
}

function wholeNumber(min: number, max: number) {
  const expected = `expected a whole number from ${min} to ${max}`;
  return z
    .string()
    .regex(/^\d{1,9}$/, expected)
    .transform(Number)
    .refine((value) => value >= min && value <= max, expected);
}

const schema = z
  .object({
    PORT: z
      .string()
      .regex(/^\d{1,5}$/, "expected a port number, 0 to 65535")
      .default("4280")
      .transform(Number)
      .refine((port) => port <= 65_535, "expected a port number, 0 to 65535"),
    HOST: z
      .string()
      .max(255, "expected a host name or address")
      .regex(/^[^\s/]+$/, "expected a host name or address")
      .default("127.0.0.1"),
    DATABASE_URL: z
      .string()
      .refine(
        (value) => isUrl(value, ["postgres:", "postgresql:"]),
        "expected a URL like postgres://user:password@host:5432/andon",
      )
      .optional(),
    ANDON_DATA_DIR: z.string().default(".andon"),
    ANDON_PUBLIC_URL: z
      .string()
      .refine((value) => isUrl(value, ["http:", "https:"]), "expected a URL like https://andon.example.com")
      .refine(isOrigin, "expected a host of its own, without a path: https://andon.example.com, not …/andon")
      .transform((value) => value.replace(/\/+$/, ""))
      .optional(),
    ANDON_SECRET: z.string().min(SECRET_MIN_CHARS, `expected at least ${SECRET_MIN_CHARS} characters`).optional(),
    ANDON_ADMIN_TOKEN: z
      .string()
      .regex(ADMIN_TOKEN, "expected andon_op_ followed by at least 16 letters, digits, _ or -")
      .optional(),
    ANDON_RECENT_CALLS_HOURS: wholeNumber(1, 720).default(24),
    ANDON_RECENT_CALLS_MAX: wholeNumber(100, 1_000_000).default(DEFAULT_RECENT_CALLS_MAX),
    ANDON_USAGE_MINUTES_DAYS: wholeNumber(35, 400).default(DEFAULT_KEPT.minutes),
    ANDON_USAGE_ROLLUPS_DAYS: wholeNumber(35, 4_000).default(DEFAULT_KEPT.rollups),
    ANDON_USAGE_TOP_HOURS_DAYS: wholeNumber(32, 400).default(DEFAULT_KEPT.topHours),
    ANDON_USAGE_BATCHES_DAYS: wholeNumber(1, 30).default(DEFAULT_KEPT.batches),
    ANDON_USAGE_RESULTS_DAYS: wholeNumber(30, 90).default(DEFAULT_KEPT.results),
    ANDON_BREAKERS_OFF: z
      .string()
      .regex(/^(?:\*|[a-z0-9-]+(?: *, *[a-z0-9-]+)*)$/, "expected keys of environments with commas, or *")
      .optional(),
    ANDON_ANTHROPIC_ADMIN_KEY: z
      .string()
      .regex(/^[\x21-\x7e]{20,500}$/, "expected an admin key such as sk-ant-admin01-…")
      .optional(),
    ANDON_ANTHROPIC_BASE_URL: z
      .string()
      .refine(isSafeOrigin, "expected a URL like https://api.anthropic.com; http on this machine only")
      .transform((value) => value.replace(/\/+$/, ""))
      .default("https://api.anthropic.com"),
    ANDON_ANTHROPIC_WORKSPACES: z
      .string()
      .regex(WORKSPACES, "expected production=wrkspc_…+default,staging=apikey_…")
      .transform(workspacesOf)
      .refine(
        (map) => new Set([...map.values()].flat()).size === [...map.values()].flat().length,
        "expected each workspace and key once",
      )
      .optional(),
    ANDON_RECONCILE_PERCENT: wholeNumber(1, 100).default(5),
    ANDON_RECONCILE_MIN_USD: wholeNumber(1, 1_000_000).default(5),
    ANDON_SMTP_URL: z
      .string()
      .refine(
        (value) => isUrl(value, ["smtp:", "smtps:"]),
        "expected a URL like smtp://user:password@mail.example.com:587",
      )
      .optional(),
    ANDON_MAIL_FROM: z.email("expected an address like andon@example.com").optional(),
    ANDON_LOG_LEVEL: z.enum(LOG_LEVELS, `expected one of ${LOG_LEVELS.join(", ")}`).default("info"),
  })
  .check((checked) => {
    const days = checked.value;
    for (const [longer, shorter] of [
      ["ANDON_USAGE_ROLLUPS_DAYS", "ANDON_USAGE_MINUTES_DAYS"],
      ["ANDON_USAGE_ROLLUPS_DAYS", "ANDON_USAGE_TOP_HOURS_DAYS"],
    ] as const) {
      if (days[longer] >= days[shorter]) continue;
      const message = `expected no fewer than the ${days[shorter]} days of ${shorter}`;
      checked.issues.push({ code: "custom", path: [longer], input: undefined, message });
    }
    if (checked.value.ANDON_SMTP_URL !== undefined && checked.value.ANDON_MAIL_FROM === undefined) {
      checked.issues.push({
        code: "custom",
        path: ["ANDON_MAIL_FROM"],
        input: undefined,
        message: "required with ANDON_SMTP_URL: expected an address like andon@example.com",
      });
    }
    if (checked.value.DATABASE_URL !== undefined && checked.value.ANDON_SECRET === undefined) {
      checked.issues.push({
        code: "custom",
        path: ["ANDON_SECRET"],
        input: undefined,
        message: `required with DATABASE_URL: expected at least ${SECRET_MIN_CHARS} characters, the same on every server`,
      });
    }
  });

/**
 * The settings from environment variables. An empty variable counts as unset.
 * @throws ConfigError naming every faulty variable and what was expected.
 */
export function parseConfig(env: Readonly<Record<string, string | undefined>>): Settings {
  const known = Object.fromEntries(
    VARIABLES.map(({ name }) => [name, env[name] === "" ? undefined : env[name]] as const),
  );
  const parsed = schema.safeParse(known);
  if (!parsed.success) {
    throw new ConfigError(parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`));
  }
  const values = parsed.data;
  const publicUrl = values.ANDON_PUBLIC_URL ?? `http://${urlHost(values.HOST)}:${values.PORT}`;
  return {
    host: values.HOST,
    port: values.PORT,
    publicUrl,
    database:
      values.DATABASE_URL === undefined
        ? { kind: "embedded", dataDir: values.ANDON_DATA_DIR }
        : { kind: "postgres", url: values.DATABASE_URL },
    secret: values.ANDON_SECRET ?? null,
    adminToken: values.ANDON_ADMIN_TOKEN ?? null,
    logLevel: values.ANDON_LOG_LEVEL,
    smtp: smtpOf(values.ANDON_SMTP_URL, values.ANDON_MAIL_FROM),
    recentCallsHours: values.ANDON_RECENT_CALLS_HOURS,
    recentCallsMax: values.ANDON_RECENT_CALLS_MAX,
    kept: {
      minutes: values.ANDON_USAGE_MINUTES_DAYS,
      rollups: values.ANDON_USAGE_ROLLUPS_DAYS,
      topHours: values.ANDON_USAGE_TOP_HOURS_DAYS,
      batches: values.ANDON_USAGE_BATCHES_DAYS,
      results: values.ANDON_USAGE_RESULTS_DAYS,
    },
    breakersOff: values.ANDON_BREAKERS_OFF?.split(/ *, */) ?? [],
    reconciliation: {
      adminKey: values.ANDON_ANTHROPIC_ADMIN_KEY ?? null,
      baseUrl: values.ANDON_ANTHROPIC_BASE_URL,
      workspaces: values.ANDON_ANTHROPIC_WORKSPACES ?? null,
      percent: values.ANDON_RECONCILE_PERCENT,
      minUsd: values.ANDON_RECONCILE_MIN_USD,
    },
    warnings:
      values.ANDON_PUBLIC_URL !== undefined || LOOPBACK.test(values.HOST) ? [] : [noPublicUrl(values.HOST, publicUrl)],
  };
}

function smtpOf(url: string | undefined, from: string | undefined): Smtp | null {
  if (url === undefined || from === undefined) return null;
  const { username, hostname } = new URL(url);
  return { url, from, requireTls: username !== "" && !LOOPBACK.test(hostname.replace(/^\[|\]$/g, "")) };
}

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/i;

function noPublicUrl(host: string, publicUrl: string): string {
  return `HOST ${host} is reached from elsewhere, but ANDON_PUBLIC_URL is not set: sign-in links and the links in alerts lead to ${publicUrl}, and session cookies are not marked Secure. Set ANDON_PUBLIC_URL to where browsers reach this server, such as https://andon.example.com.`;
}

/** A wildcard address cannot be visited; IPv6 needs brackets. */
function urlHost(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "localhost";
  return host.includes(":") ? `[${host}]` : host;
}

/** The settings of this process. */
export function readEnvironment(): Settings {
  return parseConfig(process.env);
}
