/**
 * An open board without a browser: signs in, loads the page, and asks for what changed as the page does. Counts what came
 * over the wire. Invariant: one request at a time, as one tab has.
 */
import { Agent, type IncomingMessage, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const PAGE = "/e/production";
const RETRY_MS = 1_000;
/** Longer than the server keeps a request waiting. */
const ANSWER_TIMEOUT_MS = 30_000;

interface Answer {
  status: number;
  headers: IncomingMessage["headers"];
  body: string;
}

/** A visitor's session; `token` is an op token. */
export async function signIn(url: string, token: string): Promise<string> {
  const response = await fetch(`${url}/sign-in`, {
    method: "POST",
    redirect: "manual",
    headers: { Origin: url },
    body: new URLSearchParams({ token }),
  });
  const cookies = response.headers.getSetCookie().map((cookie) => cookie.split(";")[0]);
  if (response.status !== 303 || cookies.length === 0) throw new Error(`the sign-in was answered ${response.status}`);
  return cookies.join("; ");
}

export class OpenBoard {
  readonly #url: string;
  readonly #cookie: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #done: Promise<void>;
  #isClosed = false;
  /** Answers that brought something new. */
  updates = 0;
  /** Answers that were neither new nor "nothing new". */
  refusals = 0;

  constructor(url: string, cookie: string) {
    this.#url = url;
    this.#cookie = cookie;
    this.#done = this.#follow();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#agent.destroy();
    await this.#done;
  }

  async #follow(): Promise<void> {
    let path = "";
    while (!this.#isClosed) {
      try {
        if (path === "") path = livePath((await this.#get(PAGE, false)).body) ?? "";
        const answer = await this.#get(path, true);
        if (answer.status === 200) {
          this.updates += 1;
          path = livePath(answer.body) ?? path;
        } else if (answer.status !== 204) {
          this.refusals += 1;
          await sleep(RETRY_MS);
        }
      } catch (error) {
        if (this.#isClosed) return;
        this.refusals += 1;
        if (!(error instanceof Error)) throw error;
        await sleep(RETRY_MS);
      }
    }
  }

  #get(path: string, isPart: boolean): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const headers = { Cookie: this.#cookie, ...(isPart ? { "HX-Request": "true" } : {}) };
      const sent = request(
        `${this.#url}${path}`,
        { agent: this.#agent, headers, timeout: ANSWER_TIMEOUT_MS },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("error", reject);
          response.on("end", () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: Buffer.concat(chunks).toString("utf8"),
            }),
          );
        },
      );
      sent.on("timeout", () => sent.destroy(new Error("the board was not answered in time")));
      sent.on("error", reject);
      sent.end();
    });
  }
}

function livePath(html: string): string | null {
  return /hx-get="([^"]*\/live[^"]*)"/.exec(html)?.[1]?.replaceAll("&amp;", "&") ?? null;
}
