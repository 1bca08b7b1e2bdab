/** The endpoint's own bill, and the receiver of alerts: what the demo's claims about money rest on. */
import { Webhook } from "standardwebhooks";
import { expect, onTestFinished, test } from "vitest";
import { startAlertReceiver } from "../../src/demo/story/alert-receiver.ts";
import { Bill } from "../../src/demo/story/bill.ts";
import { type ClaudeEndpoint, startClaudeEndpoint } from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { noonZone } from "../../src/demo/story/noon-zone.ts";
import { until } from "../support/until.ts";

const HEADERS = { "x-api-key": "local", "anthropic-version": "2023-06-01", "content-type": "application/json" };
const USAGE = { input: 100, cacheWrite5m: 10, cacheWrite1h: 1, cacheRead: 1_000 };
/** Three words of output. */
const ANSWER = { kind: "answer", text: "one two three", usage: USAGE } as const;
/** 100 × 4 + 3 × 20 + 10 × 5 + 1 × 8 + 1,000 × 0.2, in thousands of nano-USD. */
const OPUS_NANO_USD = 718_000n;

async function billed(): Promise<{ bill: Bill; endpoint: ClaudeEndpoint }> {
  const bill = new Bill();
  const endpoint = await startClaudeEndpoint({ onCall: (call) => bill.note(call) });
  onTestFinished(() => endpoint.close());
  endpoint.behave("*", ANSWER);
  return { bill, endpoint };
}

function ask(endpoint: ClaudeEndpoint, model: string, stream = false, signal?: AbortSignal): Promise<Response> {
  const messages = [{ role: "user", content: "?" }];
  const body = JSON.stringify({ model, max_tokens: 10, messages, stream });
  return fetch(`${endpoint.url}/v1/messages`, { method: "POST", headers: HEADERS, body, ...(signal && { signal }) });
}

test("a finished call costs what its answer said it used, streamed or whole, Sonnet half of Opus", async () => {
  const { bill, endpoint } = await billed();
  await (await ask(endpoint, "claude-opus-5-5")).text();
  await (await ask(endpoint, "claude-opus-5-5", true)).text();
  await until("two calls on the bill", () => bill.finished === 2);
  expect(bill.nanoUsd).toBe(OPUS_NANO_USD * 2n);
  await (await ask(endpoint, "claude-sonnet-5-5")).text();
  await until("three calls on the bill", () => bill.finished === 3);
  expect(bill.nanoUsd).toBe((OPUS_NANO_USD * 5n) / 2n);
  expect([bill.open, bill.unbilled]).toEqual([0, 0]);
});

test("the bill says when it reached an amount, and null while it has not", async () => {
  const { bill, endpoint } = await billed();
  await (await ask(endpoint, "claude-opus-5-5")).text();
  await until("the call on the bill", () => bill.finished === 1);
  expect(bill.reachedAtMs(OPUS_NANO_USD)).toBeGreaterThanOrEqual(bill.lastArrivedAtMs);
  expect(bill.reachedAtMs(OPUS_NANO_USD + 1n)).toBeNull();
});

test("a call that was broken off, failed or has no price is not on the bill, and is counted apart", async () => {
  const { bill, endpoint } = await billed();
  endpoint.behaveNext("claude-opus-5-5", { kind: "hang", after: "request" }, { kind: "error", status: 529, type: "x" });
  const leaving = new AbortController();
  const left = ask(endpoint, "claude-opus-5-5", false, leaving.signal);
  await until("the call to arrive", () => bill.open === 1);
  leaving.abort();
  await expect(left).rejects.toThrow();
  await (await ask(endpoint, "claude-opus-5-5")).text();
  await (await ask(endpoint, "claude-of-tomorrow")).text();
  await until("all to be counted apart", () => bill.unbilled === 3);
  expect([bill.finished, bill.nanoUsd, bill.open]).toEqual([0, 0n, 0]);
});

test("the receiver keeps alerts whose signature verifies and refuses all others", async () => {
  const receiver = await startAlertReceiver();
  onTestFinished(() => receiver.close());
  const secret = `whsec_${Buffer.alloc(24, 7).toString("base64")}`;
  const send = (body: string, key: string): Promise<Response> => {
    const at = new Date();
    const headers = {
      "webhook-id": "msg_1",
      "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
      "webhook-signature": new Webhook(key).sign("msg_1", at, body),
    };
    return fetch(receiver.url, { method: "POST", headers, body });
  };
  const alert = { id: "msg_1", type: "test", title: "A title", text: "A text." };
  expect((await send(JSON.stringify(alert), secret)).status).toBe(400);
  receiver.trust(secret);
  expect((await send(JSON.stringify(alert), secret)).status).toBe(204);
  const other = `whsec_${Buffer.alloc(24, 8).toString("base64")}`;
  expect((await send(JSON.stringify(alert), other)).status).toBe(400);
  expect((await send(`{"id":"msg_1"}`, secret)).status).toBe(400);
  expect(receiver.deliveries).toEqual([alert]);
  expect(receiver.forged).toBe(3);
});

test("a zone of noon is a time zone in which it is noon, whatever the hour", () => {
  for (let hour = 0; hour < 24; hour += 1) {
    const atMs = Date.UTC(2026, 10, 21, hour, 30);
    const local = new Intl.DateTimeFormat("en-GB", { timeZone: noonZone(atMs), hour: "2-digit" }).format(atMs);
    expect(local).toBe("12");
  }
});
