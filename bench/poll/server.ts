/**
 * The floor and the peer of `poll.304`: the least HTTP server that can answer 304 to a known ETag, on bare `node:http`
 * or as a bare hono handler. Its own process; says where it listens.
 */
import { createServer } from "node:http";
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { z } from "zod";
import { listen } from "../support/listen.ts";
import { send, task } from "../support/worker.ts";

const { kind, path, etag } = task(z.object({ kind: z.enum(["node", "hono"]), path: z.string(), etag: z.string() }));

switch (kind) {
  case "node": {
    const server = createServer((request, response) => {
      const isKnown = request.url === path && request.headers["if-none-match"] === etag;
      response.writeHead(isKnown ? 304 : 404, { ETag: etag }).end();
    });
    send({ url: await listen(server) });
    break;
  }
  case "hono": {
    const app = new Hono();
    app.get(path, (c) => c.body(null, c.req.header("If-None-Match") === etag ? 304 : 404, { ETag: etag }));
    serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) =>
      send({ url: `http://127.0.0.1:${port}` }),
    );
    break;
  }
}
