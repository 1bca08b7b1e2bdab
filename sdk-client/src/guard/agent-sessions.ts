/**
 * Counts what managed agents used, as the API tells it in the events of their sessions, when these are read through the client:
 * each model request by its own event, the running time by the periodic usage event. Invariants: the bytes pass unchanged; what
 * is read again, anywhere, counts once.
 */
import { idOf } from "./meter.ts";
import type { GuardHost, UsageDraft } from "../guard-host.ts";
import { readUsage } from "../pricing/usage.ts";
import { isObject, parseObject } from "../wire/json.ts";
import { NO_USAGE, RUNTIME_PART } from "../wire/usage-protocol.ts";
import { rebuilt } from "./answers.ts";
import type { Subject } from "./request.ts";
import { SseTap } from "./sse-tap.ts";
import type { RequestLike } from "./types.ts";

/** Events of a session, listed or streamed (resources/beta/sessions/events of SDK 1.11.0); of its threads too. */
const EVENTS = /^(.*\/v1\/sessions\/([^/?#]+))\/(?:threads\/[^/?#]+\/)?events(\/stream)?\/?(?:\?|#|$)/;
const SESSION = /\/v1\/sessions\/([^/?#]+)\/?(?:\?|#|$)/;
/** Running time is counted in spans of this length, begun ones in full: each has an id, so that it counts once. */
const SPAN_MS = 300_000;
/** Spans (a day), and searches, that one look at a session may add. */
const MAX_AT_ONCE = 288;
const MAX_SESSIONS = 10_000;
const LOOK_TIMEOUT_MS = 5_000;

interface Session {
  model: string;
  fast: boolean;
  /** One model alone works in it. */
  isPlain: boolean;
}

/** What a request reads of a session: its events, or the session itself; null for any other. */
export type SessionRead = { kind: "events"; session: string; url: string; isStream: boolean } | { kind: "session" };

export function readsSession({ url }: RequestLike): SessionRead | null {
  if (!url.includes("/sessions/")) return null;
  const [, at, session, stream] = EVENTS.exec(url) ?? [];
  if (at !== undefined && session !== undefined)
    return { kind: "events", session, url: at, isStream: stream !== undefined };
  return SESSION.test(url) ? { kind: "session" } : null;
}

export class AgentSessions {
  readonly #host: GuardHost;
  readonly #sessions = new Map<string, Promise<Session | null>>();
  /** What is told of each so far, in numbers of spans and searches. */
  readonly #told = new Map<string, { spans: number; searches: number }>();

  constructor(host: GuardHost) {
    this.#host = host;
  }

  /** The API's answer about one session, unchanged. */
  async readSession(response: Response, subject: Subject): Promise<Response> {
    if (!response.ok) return response;
    const text = await response.text();
    const session = parseObject(text);
    if (session !== null) this.saw(session, subject);
    return rebuilt(response, text);
  }

  /** What the API says of a session. */
  saw(session: Readonly<Record<string, unknown>>, subject: Subject): void {
    const { id, usage } = session;
    const known = sessionOf(session);
    if (typeof id !== "string" || known === null) return;
    keep(this.#sessions, id, Promise.resolve(known));
    this.#total(id, usage, known.model, subject);
  }

  /** The API's answer with events, unchanged: counted as they pass by. `look` asks for the session itself. */
  async readEvents(
    response: Response,
    { session, isStream }: Extract<SessionRead, { kind: "events" }>,
    subject: Subject,
    look: () => Promise<Response>,
  ): Promise<Response> {
    if (!response.ok || response.body === null) return response;
    const count = (event: unknown): void => {
      if (isObject(event)) void this.#count(session, event, subject, look);
    };
    if (!isStream) {
      const text = await response.text();
      const events: unknown = parseObject(text)?.["data"];
      for (const event of Array.isArray(events) ? (events as unknown[]) : []) count(event);
      return rebuilt(response, text);
    }
    const tap = new SseTap((_name, data) => {
      if (TELLING.test(data)) count(parseObject(data));
    });
    const passing = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        tap.push(chunk);
        controller.enqueue(chunk);
      },
    });
    return rebuilt(response, response.body.pipeThrough(passing));
  }

  async #count(
    session: string,
    event: Readonly<Record<string, unknown>>,
    subject: Subject,
    look: () => Promise<Response>,
  ): Promise<void> {
    const { type, id } = event;
    if (type !== "span.model_request_end" && type !== "session.usage") return;
    const known = await this.#sessionOf(session, look);
    if (known === null) {
      this.#host.logger.warn(
        { flag: subject.flag, session },
        "What an agent used is not counted: its model is not known",
      );
      return;
    }
    if (type === "session.usage") {
      this.#total(session, event["usage"], known.model, subject);
      return;
    }
    const atMs = Date.parse(String(event["processed_at"]));
    const models = { answered: known.model, requested: known.model };
    for (const [index, part] of readUsage(event["model_usage"], models).entries()) {
      this.#record(subject, session, {
        id: `${session}:${String(id)}:${index}`,
        ...(Number.isNaN(atMs) ? {} : { at: atMs }),
        model: part.model,
        outcome: event["is_error"] === true ? "error" : "ok",
        // How long its caches are kept is not told, nor which model of several it was.
        exact: part.exact && known.isPlain,
        usage: part.usage,
        ...(part.fast || known.fast ? { fast: true } : {}),
      });
    }
  }

  /** Its running time and its searches so far, each span and each search that nobody has told of here. */
  #total(session: string, usage: unknown, model: string, subject: Subject): void {
    if (!isObject(usage)) return;
    const { active_seconds: seconds, server_tool_use: tools } = usage;
    const searches = isObject(tools) ? tools["web_search_requests"] : undefined;
    const told = this.#told.get(session) ?? { spans: 0, searches: 0 };
    const now = {
      spans: Math.max(told.spans, typeof seconds === "number" ? Math.ceil((seconds * 1_000) / SPAN_MS) : 0),
      searches: Math.max(told.searches, typeof searches === "number" ? searches : 0),
    };
    keep(this.#told, session, now);
    const shared = { model, outcome: "ok", part: RUNTIME_PART } as const;
    for (let span = Math.max(told.spans, now.spans - MAX_AT_ONCE); span < now.spans; span += 1) {
      const id = `${session}:runtime:${span}`;
      this.#record(subject, session, { ...shared, id, exact: false, usage: NO_USAGE, runtimeMs: SPAN_MS });
    }
    for (let search = Math.max(told.searches, now.searches - MAX_AT_ONCE); search < now.searches; search += 1) {
      const id = `${session}:search:${search}`;
      this.#record(subject, session, { ...shared, id, exact: true, usage: { ...NO_USAGE, webSearches: 1 } });
    }
  }

  #record(
    { flag, context }: Subject,
    session: string,
    draft: Pick<UsageDraft, "id" | "at" | "model" | "outcome" | "exact" | "usage" | "part" | "runtimeMs" | "fast">,
  ): void {
    const user = idOf(context.targetingKey);
    this.#host.record({
      ...draft,
      once: true,
      flag,
      requestedModel: draft.model,
      attempt: 1,
      latencyMs: 0,
      session: idOf(context.session) ?? session,
      ...(user === null ? {} : { user }),
    });
  }

  #sessionOf(session: string, look: () => Promise<Response>): Promise<Session | null> {
    const known = this.#sessions.get(session);
    if (known !== undefined) return known;
    const asked = look()
      .then(async (response) => (response.ok ? sessionOf(parseObject(await response.text())) : null))
      .catch(() => null)
      .then((found) => {
        // It is asked for again with its next event.
        if (found === null) this.#sessions.delete(session);
        return found;
      });
    keep(this.#sessions, session, asked);
    return asked;
  }
}

const TELLING = /"(?:span\.model_request_end|session\.usage)"/;

/** The request for the session behind one for its events. */
export function lookAt<R extends RequestLike>(request: R, url: string, next: (request: R) => Promise<Response>) {
  return (): Promise<Response> => {
    const query = /[?&]beta=true/.test(request.url) ? "?beta=true" : "";
    const asking: R = { ...request, url: url + query, headers: new Headers(request.headers) };
    const written: RequestLike = asking;
    written.signal = AbortSignal.timeout(LOOK_TIMEOUT_MS);
    return next(asking);
  };
}

function sessionOf(session: Readonly<Record<string, unknown>> | null): Session | null {
  const agent = session?.["agent"];
  const config = isObject(agent) ? agent["model"] : undefined;
  const model = isObject(config) ? config["id"] : config;
  if (!isObject(agent) || typeof model !== "string") return null;
  const { multiagent } = agent;
  const fast = isObject(config) && config["speed"] === "fast";
  return { model, fast, isPlain: multiagent === undefined || multiagent === null };
}

function keep<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  for (const oldest of map.keys()) {
    if (map.size <= MAX_SESSIONS) return;
    map.delete(oldest);
  }
}

const byHost = new WeakMap<GuardHost, AgentSessions>();

/** The agents' sessions of a host, made on first use. */
export function agentSessionsOf(host: GuardHost): AgentSessions {
  const known = byHost.get(host);
  if (known !== undefined) return known;
  const made = new AgentSessions(host);
  byHost.set(host, made);
  return made;
}
