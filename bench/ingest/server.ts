/**
 * Beside `ingest.*`: the least server that writes usage records down. Bare `node:http`; one `insert … unnest` for a
 * batch, or an insert for each record as simple services do. It checks, prices and sums nothing, and knows no repeat.
 * Its own process; says where it listens.
 */
import { createServer, type IncomingMessage } from "node:http";
import { PGlite } from "@electric-sql/pglite";
import postgres from "postgres";
import { z } from "zod";
import { listen } from "../support/listen.ts";
import { send, task } from "../support/worker.ts";

const CONNECTIONS = 10;
const TABLE = `create table if not exists plain_usage (id text primary key, at bigint not null, flag text not null,
  model text not null, input bigint not null, output bigint not null, cache_read bigint not null,
  latency_ms integer not null, user_id text)`;
const COLUMNS = "id, at, flag, model, input, output, cache_read, latency_ms, user_id";
const BATCH = `insert into plain_usage (${COLUMNS}) select * from unnest($1::text[], $2::bigint[], $3::text[], $4::text[],
  $5::bigint[], $6::bigint[], $7::bigint[], $8::integer[], $9::text[])`;
const SINGLE = `insert into plain_usage (${COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`;

interface Record {
  id: string;
  at: number;
  flag: string;
  model: string;
  usage: { input: number; output: number; cacheRead: number };
  latencyMs: number;
  user: string;
}
type Value = string | number;
type Query = (text: string, values: (Value | Value[])[]) => Promise<unknown>;

const { database, mode } = task(
  z.object({
    database: z.union([z.object({ url: z.string() }), z.object({ folder: z.string() })]),
    mode: z.enum(["batch", "single"]),
  }),
);
const query = await open();

const server = createServer((request, response) => {
  take(request).then(
    () => response.writeHead(200).end("{}"),
    (error: unknown) => response.writeHead(500).end(String(error)),
  );
});
send({ url: await listen(server) });

async function take(request: IncomingMessage): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  const { records }: { records: Record[] } = JSON.parse(Buffer.concat(chunks).toString("utf8"));
  const rows = records.map(valuesOf);
  if (mode === "single") {
    await Promise.all(rows.map((row) => query(SINGLE, row)));
    return;
  }
  const width = rows[0]?.length ?? 0;
  await query(
    BATCH,
    Array.from({ length: width }, (_, column) => rows.map((row) => row[column] ?? "")),
  );
}

function valuesOf({ id, at, flag, model, usage, latencyMs, user }: Record): Value[] {
  return [id, at, flag, model, usage.input, usage.output, usage.cacheRead, latencyMs, user];
}

async function open(): Promise<Query> {
  if ("folder" in database) {
    const embedded = await PGlite.create(database.folder);
    await embedded.exec(TABLE);
    return (text, values) => embedded.query(text, values);
  }
  const client = postgres(database.url, { max: CONNECTIONS, onnotice: () => undefined });
  await client.unsafe(TABLE);
  return (text, values) => client.unsafe(text, values, { prepare: true });
}
