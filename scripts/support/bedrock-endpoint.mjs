// Amazon Bedrock in front of a local Claude endpoint: takes signed calls to /model/{id}/invoke, and answers streams in frames
// of `application/vnd.amazon.eventstream`. Source of the framing: Amazon's "event stream encoding" of Transcribe.
import { createServer } from "node:http";
import { crc32 } from "node:zlib";

const PATH = /^\/model\/([^/]+)\/(invoke|invoke-with-response-stream)$/;
const STRING = 7;

/** Starts it on a free port of 127.0.0.1. Calls without a signature are refused with 403. */
export async function startBedrock(claudeUrl) {
  const server = createServer((request, response) => {
    serve(claudeUrl, request, response).catch((error) => response.destroy(error));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, url: `http://127.0.0.1:${server.address().port}` };
}

async function serve(claudeUrl, request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const [, model, verb] = PATH.exec(request.url) ?? [];
  if (model === undefined) return void response.writeHead(404).end();
  if (!request.headers.authorization?.startsWith("AWS4-HMAC-SHA256 Credential=")) {
    return void response.writeHead(403, { "content-type": "application/json" }).end(`{"message":"not signed"}`);
  }
  const { anthropic_version: version, ...body } = JSON.parse(Buffer.concat(chunks).toString());
  const isStream = verb !== "invoke";
  const answer = await fetch(`${claudeUrl}/v1/messages`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-api-key": "local", "anthropic-version": "2023-06-01" },
    body: JSON.stringify({ ...body, model: decodeURIComponent(model), ...(isStream && { stream: true }) }),
  });
  if (typeof version !== "string") throw new Error("Bedrock takes the version from the body");
  if (!isStream || !answer.ok) {
    return void response.writeHead(answer.status, { "content-type": "application/json" }).end(await answer.text());
  }
  response.writeHead(200, { "content-type": "application/vnd.amazon.eventstream" });
  for (const [, data] of (await answer.text()).matchAll(/^data: (.*)$/gm)) {
    response.write(frame(JSON.stringify({ bytes: Buffer.from(data).toString("base64") })));
  }
  response.end();
}

/** One frame: lengths and their checksum, headers, payload, and the checksum of it all. */
function frame(payload) {
  const headers = Buffer.concat([
    header(":event-type", "chunk"),
    header(":content-type", "application/json"),
    header(":message-type", "event"),
  ]);
  const body = Buffer.from(payload);
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32BE(16 + headers.length + body.length, 0);
  lengths.writeUInt32BE(headers.length, 4);
  const whole = Buffer.concat([lengths, uint32(crc32(lengths)), headers, body]);
  return Buffer.concat([whole, uint32(crc32(whole))]);
}

function header(name, value) {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(value.length);
  return Buffer.concat([
    Buffer.from([name.length]),
    Buffer.from(name),
    Buffer.from([STRING]),
    length,
    Buffer.from(value),
  ]);
}

function uint32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
