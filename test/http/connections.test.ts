/** Bodies over a real socket: too large ones are answered and not reset, and a client that goes away is no fault of ours. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { MAX_USAGE_BODY_BYTES, USAGE_PATH } from "../../sdk-client/src/wire/usage-protocol.ts";
import { MAX_BODY_BYTES } from "../../src/domain/limits.ts";
import { ADMIN_TOKEN, makeToken, startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const KILL_PATH = "/v1/environments/production/kill";

let server: TestServer;
let sdkToken: string;
const lines: { level: number; status?: number; msg: string }[] = [];

beforeAll(async () => {
  const log = pino({ level: "debug" }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  server = await startTestServer({ log });
  sdkToken = await makeToken(server.deps, { kind: "sdk" });
});
afterAll(() => server.close());
beforeEach(() => {
  lines.length = 0;
});

async function open(): Promise<Socket> {
  const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
  await once(socket, "connect");
  return socket;
}

const typeOf = (path: string) => (path.includes("/v1/") ? "application/json" : "application/x-www-form-urlencoded");
const headOf = (path: string, token: string, framing: string) =>
  `POST ${path} HTTP/1.1\r\nHost: andon\r\nAuthorization: Bearer ${token}\r\nContent-Type: ${typeOf(path)}\r\n${framing}\r\n\r\n`;

/** Sends all of it, reads to the end of the connection; rejects when that is a reset. */
async function exchange(...parts: (string | Buffer)[]): Promise<string> {
  const socket = await open();
  let answer = "";
  socket.setEncoding("utf8").on("data", (text: string) => (answer += text));
  const ended = once(socket, "end");
  for (const part of parts) if (!socket.write(part)) await Promise.race([once(socket, "drain"), ended]);
  await ended;
  socket.destroy();
  return answer;
}

const huge = (bytes: number) => Buffer.alloc(bytes, 0x78);

describe("a body over the bound", () => {
  it.each([
    ["the operator API", KILL_PATH, () => ADMIN_TOKEN, MAX_BODY_BYTES],
    ["usage", USAGE_PATH, () => sdkToken, MAX_USAGE_BODY_BYTES],
  ])("of %s is answered 413 with Connection: close, however much was sent", async (_name, path, token, bound) => {
    const bytes = bound + 4_000_000;
    const announced = await exchange(headOf(path, token(), `Content-Length: ${bytes}`), huge(bytes));
    const framed = [`${bytes.toString(16)}\r\n`, huge(bytes), "\r\n0\r\n\r\n"];
    const chunked = await exchange(headOf(path, token(), "Transfer-Encoding: chunked"), ...framed);
    for (const answer of [announced, chunked]) {
      expect(answer).toMatch(/^HTTP\/1\.1 413 /);
      expect(answer.toLowerCase()).toContain("\r\nconnection: close\r\n");
      expect(answer).toContain('"code":"TOO_LARGE"');
    }
  });

  it("that never ends is answered 413 all the same, in seconds", async () => {
    const answer = await exchange(headOf(KILL_PATH, ADMIN_TOKEN, "Content-Length: 100000000"), huge(1000));
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
  });
});

describe("a body within the bound", () => {
  it("is read whole when its length is not announced", async () => {
    const body = JSON.stringify({ reason: "in chunks" });
    const half = Math.floor(body.length / 2);
    const chunks = [body.slice(0, half), body.slice(half)].map((part) => `${part.length.toString(16)}\r\n${part}\r\n`);
    const head = headOf(KILL_PATH, ADMIN_TOKEN, "Connection: close\r\nTransfer-Encoding: chunked");
    const answer = await exchange(head, ...chunks, "0\r\n\r\n");
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(answer).toContain('"reason":"in chunks"');
  });
});

describe("a client that goes away in the middle of a body", () => {
  it.each([
    ["the operator API", KILL_PATH, () => ADMIN_TOKEN, "Content-Length: 1000", '{"reason": "half'],
    ["usage", USAGE_PATH, () => sdkToken, "Content-Length: 1000", '{"batchId": "half'],
    ["usage in chunks", USAGE_PATH, () => sdkToken, "Transfer-Encoding: chunked", "5\r\nabcde\r\n"],
    ["a page", "/sign-in", () => ADMIN_TOKEN, "Content-Length: 1000\r\nSec-Fetch-Site: same-origin", "token=half"],
  ])("of %s is no error of the server", async (_name, path, token, framing, half) => {
    const socket = await open();
    socket.write(headOf(path, token(), framing) + half, () => socket.destroy());
    await until("the request ended", () => lines.some(({ msg }) => msg === "a client went away"));
    expect(lines.filter(({ level, status = 0 }) => level >= 40 || status >= 500)).toEqual([]);
  });
});
