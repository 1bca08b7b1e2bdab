/** An answer that the guard has read is, for whoever asks for the raw response, a response like any other. */
import { Readable } from "node:stream";
import { json, text } from "node:stream/consumers";
import type { ReadableStream as NodeReadableStream } from "node:stream/web";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ASK, SDKS, startWorld, type World } from "../support/guard-world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterEach(() => world.endpoint.reset());
afterAll(() => world.close());

describe.each(SDKS)("$name", ({ Sdk }) => {
  const ask = (): Promise<Response> => world.client(Sdk).messages.create(ASK).asResponse();

  it.each<[string, (response: Response) => Promise<unknown>]>([
    ["json()", (response) => response.json()],
    ["text()", async (response) => JSON.parse(await response.text())],
    ["arrayBuffer()", async (response) => JSON.parse(Buffer.from(await response.arrayBuffer()).toString())],
    ["blob()", async (response) => JSON.parse(await (await response.blob()).text())],
    ["body", (response) => new Response(response.body).json()],
    ["clone()", (response) => response.clone().json()],
    ["body, piped", async (response) => JSON.parse(await text(bodyOf(response).pipeThrough(new TextDecoderStream())))],
    ["body, as a stream of Node", (response) => json(Readable.fromWeb(bodyOf(response)))],
    ["body, iterated", async (response) => JSON.parse(await iterated(bodyOf(response)))],
    ["body, one half of its tee", (response) => new Response(bodyOf(response).tee()[1]).json()],
    ["a copy", (response) => new Response(response.body, response).json()],
  ])("can be read by %s", async (_how, read) => {
    const response = await ask();
    // What `fetch` answers with; the global may be another's, such as @hono/node-server's where it serves.
    expect(response).toBeInstanceOf((await fetch("data:,")).constructor);
    expect(response.status).toBe(200);
    expect(response.headers.get("request-id")).toMatch(/^req_/);
    expect(await read(response)).toMatchObject({ type: "message", model: ASK.model });
  });

  it.each<[string, (response: Response) => Response | Promise<Response>]>([
    ["streams of Node", (response) => Object.defineProperty(response, "body", { value: Readable.from([]) })],
    ["in pieces that cut characters", async (response) => inPieces(response)],
  ])("may come of a fetch whose bodies are %s", async (_what, changed) => {
    const client = world.client(Sdk).withOptions({ fetch: async (url, init) => changed(await fetch(url, init)) });
    const said = "Jeder darf die Schnur ziehen, überall – 誰でも。";
    world.endpoint.behaveNext(ASK.model, { kind: "answer", text: said });
    expect(await client.messages.create(ASK)).toMatchObject({
      model: ASK.model,
      content: [{ type: "text", text: said }],
    });
  });

  it("can be read once", async () => {
    const response = await ask();
    expect(response.bodyUsed).toBe(false);
    await response.text();
    expect(response.bodyUsed).toBe(true);
    await expect(response.json()).rejects.toThrow(TypeError);
    expect(() => response.clone()).toThrow(TypeError);
  });

  it("has a body like any other: one object, locked by its reader", async () => {
    const response = await ask();
    const { body } = response;
    expect(body).toBeInstanceOf(ReadableStream);
    expect(response.body).toBe(body);
    expect(body?.locked).toBe(false);
    body?.getReader();
    expect(body?.locked).toBe(true);
    expect(() => response.clone()).toThrow(TypeError);
  });

  it("serves other middleware that parses it", async () => {
    const client = world.client(Sdk);
    const models: unknown[] = [];
    const observed = client.withOptions({
      middleware: [
        async (request, next, ctx) => {
          const response = await next(request);
          models.push((await ctx.parse<{ model: string }>(response)).model);
          return response;
        },
        ...client.middleware,
      ],
    });
    models.push((await observed.messages.create(ASK)).model);
    expect(models).toEqual([ASK.model, ASK.model]);
  });
});

/** Each byte by itself. */
async function inPieces(response: Response): Promise<Response> {
  const bytes = new Uint8Array(await response.arrayBuffer());
  const pieces = Array.from(bytes, (byte) => Uint8Array.of(byte));
  return new Response(ReadableStream.from(pieces), response);
}

function bodyOf(response: Response): NodeReadableStream<Uint8Array> {
  const body: NodeReadableStream<Uint8Array> | null = response.body;
  if (body === null) throw new Error("the answer has no body");
  return body;
}

async function iterated(body: NodeReadableStream<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
