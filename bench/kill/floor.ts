/**
 * The floor of `kill.last_of_1000`: a long poll on bare `node:http` that answers all parked requests from one buffer as
 * soon as it is told to, and commits nothing. Its own process; says where it listens.
 */
import { createServer, type ServerResponse } from "node:http";
import { z } from "zod";
import { listen } from "../support/listen.ts";
import { send, task } from "../support/worker.ts";

const { path, bodyBase64 } = task(z.object({ path: z.string(), bodyBase64: z.string() }));
const body = Buffer.from(bodyBase64, "base64");
const parked = new Set<ServerResponse>();
let revision = 1;

const etag = (): string => `"floor.${revision}"`;
const answer = (response: ServerResponse): void => {
  response
    .writeHead(200, {
      "Content-Type": "application/json",
      "Content-Encoding": "gzip",
      "Content-Length": body.byteLength,
      ETag: etag(),
    })
    .end(body);
};

const server = createServer((request, response) => {
  if (request.method === "POST") {
    revision += 1;
    const changed = JSON.stringify({ revision: `floor.${revision}` });
    request.resume().once("end", () => response.writeHead(200, { "Content-Type": "application/json" }).end(changed));
    for (const waiting of parked) answer(waiting);
    parked.clear();
  } else if (request.url !== path) {
    response.writeHead(404).end();
  } else if (request.headers["if-none-match"] === etag()) {
    parked.add(response);
    response.once("close", () => parked.delete(response));
  } else {
    answer(response);
  }
});
send({ url: await listen(server) });
