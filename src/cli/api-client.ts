/**
 * The operator API as the commands call it. Every failure becomes a sentence that says what to do: the answer of the
 * server (problem+json), a server that is not there, a token that is missing.
 */
import { z } from "zod";
import { DATABASE_AWAY_ADVICE } from "../errors.ts";
import { CliError, EXIT_USAGE, type Io } from "./io.ts";
import { TOKEN_VARIABLE, withLogin } from "./kept-login.ts";
import { printable } from "./printable.ts";

const REQUEST_TIMEOUT_MS = 10_000;
/** A long table is sent as it is read. */
const TEXT_TIMEOUT_MS = 10 * 60_000;
const WITHOUT_SERVER = DATABASE_AWAY_ADVICE.slice(DATABASE_AWAY_ADVICE.indexOf("To stop AI calls"));

const problemSchema = z.object({
  title: z.string(),
  detail: z.string(),
  code: z.string(),
  requestId: z.string(),
  errors: z.array(z.object({ path: z.string(), message: z.string(), confirm: z.string().optional() })).optional(),
});

export interface Call {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  body?: Readonly<Record<string, unknown>>;
  /** The version that an edit is made on. */
  version?: number;
  /** Said when the server cannot be reached, for calls that stop something. */
  stops?: boolean;
}

export interface ApiClient {
  /** Calls `/v1` + path and parses the answer. CliError with words for a person for everything else. */
  call<T>(path: string, schema: z.ZodType<T>, call?: Call): Promise<T>;
  /** The lines of an answer that is a text, as they come. */
  lines(path: string, accept: string): AsyncIterable<string>;
}

/** The client for ANDON_URL with ANDON_OP_TOKEN, or what `login` has kept. CliError (usage) when one is missing. */
export function createApiClient(given: Io): ApiClient {
  const io = withLogin(given);
  const base = requireUrl(io.env["ANDON_URL"]);
  const token = operatorToken(io);
  return {
    call: async (path, schema, call = {}) => {
      const response = await send(io, base, token, path, call);
      const body = await bodyOf(response);
      if (!response.ok) throw new CliError(sentenceOf(response.status, body));
      const parsed = schema.safeParse(body);
      if (!parsed.success)
        throw new CliError(
          `${base} answered something that is not Andon's API. Is ANDON_URL the address of the Andon server?`,
        );
      return parsed.data;
    },
    lines: async function* (path, accept) {
      const response = await send(io, base, token, path, {}, accept);
      if (!response.ok) throw new CliError(sentenceOf(response.status, await bodyOf(response)));
      yield* linesOf(response);
    },
  };
}

/** True for a token that may kill and downgrade, and nothing else. */
export function isKillToken(io: Io): boolean {
  return withLogin(io).env[TOKEN_VARIABLE]?.startsWith("andon_kill_") ?? false;
}

/** The token of the person or CI. The application has its own, by another name, so that both fit one shell. */
function operatorToken({ env }: Io): string {
  const token = env[TOKEN_VARIABLE] ?? "";
  const wanted = `Set ${TOKEN_VARIABLE} to an op token (or a kill token, to kill or downgrade). Create one on the board's Tokens page.`;
  const hasApplications = (env["ANDON_TOKEN"] ?? "") !== "";
  if (token === "")
    throw new CliError(
      hasApplications
        ? `${wanted} ANDON_TOKEN is the application's (kind sdk); the andon command does not read it.`
        : wanted,
      EXIT_USAGE,
    );
  if (token.startsWith("andon_sdk_"))
    throw new CliError(
      `${TOKEN_VARIABLE} holds an sdk token. That is an application's, which reads it from ANDON_TOKEN. ${wanted}`,
      EXIT_USAGE,
    );
  return token;
}

async function send(
  io: Io,
  base: string,
  token: string,
  path: string,
  { method = "GET", body, version, stops = false }: Call,
  accept?: string,
): Promise<Response> {
  try {
    return await io.fetch(`${base}/v1${path}`, {
      method,
      redirect: "error",
      signal: AbortSignal.timeout(accept === undefined ? REQUEST_TIMEOUT_MS : TEXT_TIMEOUT_MS),
      headers: {
        authorization: `Bearer ${token}`,
        ...(accept !== undefined && { accept }),
        ...(version !== undefined && { "if-match": `"${String(version)}"` }),
        ...(body !== undefined && { "content-type": "application/json" }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  } catch (error) {
    throw new CliError(
      `No answer from ${base} (${reasonOf(error)}). Is the server running, and ANDON_URL right?${stops ? ` ${WITHOUT_SERVER}` : ""}`,
    );
  }
}

async function bodyOf(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch (error) {
    // Not JSON, so not from Andon: a proxy's page, say. The caller says so by the status or the schema.
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** A line that the answer breaks off in is not told as a whole one. */
async function* linesOf({ body }: Response): AsyncIterable<string> {
  if (body === null) return;
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const lines = `${rest}${decoder.decode(value, { stream: true })}`.split(/\r?\n/);
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest !== "") throw new CliError("The answer broke off.");
}

function sentenceOf(status: number, body: unknown): string {
  const parsed = problemSchema.safeParse(body);
  if (!parsed.success)
    return `The server answered ${String(status)} without saying why. Is ANDON_URL the address of the Andon server?`;
  const { title, detail, code, requestId, errors = [] } = parsed.data;
  // Each fault is a line, and no fault is more than one.
  const faults = errors.length > 1 ? errors.map(({ path, message }) => `\n  ${printable(`${path}: ${message}`)}`) : [];
  const advice: Record<string, string> = {
    UNAUTHENTICATED: ` Check ${TOKEN_VARIABLE}.`,
    PRECONDITION_FAILED: " Look at it again and repeat.",
    INTERNAL: ` Request id: ${requestId}.`,
  };
  const asks = (what: string): boolean => errors.some((fault) => fault.confirm === what);
  const confirm = `${asks("newModel") ? " If it is new, add --new-model." : ""}${asks("unusual") ? " If that is right, add --unusual." : ""}`;
  return `${printable(`${title}: ${detail}${advice[code] ?? ""}${confirm}`)}${faults.join("")}`;
}

function requireUrl(url: string | undefined): string {
  if (url === undefined || url === "")
    throw new CliError("Set ANDON_URL to the address of the Andon server, such as http://127.0.0.1:4280.", EXIT_USAGE);
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new CliError("ANDON_URL is not an http or https address.", EXIT_USAGE);
  }
  return url.replace(/\/+$/, "");
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown error";
  if (error.name === "TimeoutError") return `nothing within ${String(REQUEST_TIMEOUT_MS / 1000)} s`;
  const cause = error.cause;
  return cause instanceof Error && "code" in cause ? String(cause.code) : error.message;
}
