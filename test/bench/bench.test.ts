/**
 * Benches run and print figures of the agreed shape; `npm run soak -- benches` does the same for those that take longer.
 * Figures of such short runs mean nothing and decide nothing.
 */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { z } from "zod";

const BENCH = fileURLToPath(new URL("../../dist/bench/main.js", import.meta.url));
const TIMEOUT_MS = 240_000;

const run = promisify(execFile);

const figureSchema = z.strictObject({
  name: z.string(),
  unit: z.enum(["ns", "µs", "ms", "ms/s", "bytes", "KB", "KB/s", "requests/s", "records/s", "USD"]),
  ours: z.number(),
  floor: z.number().optional(),
  peers: z.record(z.string(), z.number().positive()).optional(),
  note: z.string().optional(),
});

async function bench(...args: string[]): Promise<z.infer<typeof figureSchema>[]> {
  const { stdout } = await run(process.execPath, [BENCH, "--quick", "--json", ...args], { timeout: TIMEOUT_MS });
  return stdout
    .trim()
    .split("\n")
    .map((line) => figureSchema.parse(JSON.parse(line)));
}

test("evaluate is measured beside three others that give the same decisions", { timeout: TIMEOUT_MS }, async () => {
  const figures = await bench("evaluate");
  expect(figures.map((figure) => figure.name)).toEqual(["evaluate.static", "evaluate.rollout50", "evaluate.rules5"]);
  for (const { ours, peers } of figures) {
    expect(ours).toBeGreaterThan(0);
    expect(Object.keys(peers ?? {})).toEqual(["unleash-client", "growthbook", "launchdarkly"]);
  }
});

test("the guard is measured over the bare SDK", { timeout: TIMEOUT_MS }, async () => {
  const figures = await bench("guard");
  expect(figures).toMatchObject([
    {
      name: "guard.overhead",
      unit: "µs",
      note: expect.stringMatching(/\(-?\d\.\d\d of it\).*; downgraded -?\d+\.\d µs \(/),
    },
    { name: "guard.overhead_server_away", unit: "µs" },
  ]);
  expect(Object.keys(figures[1]?.peers ?? {})).toEqual(["server there"]);
});

test("polls are measured beside hono and node:http", { timeout: TIMEOUT_MS }, async () => {
  const [poll] = await bench("poll.304");
  expect(poll).toMatchObject({ name: "poll.304", unit: "requests/s" });
  expect(Object.keys(poll?.peers ?? {})).toEqual(["hono"]);
  expect(poll?.floor).toBeGreaterThan(0);
});

test("a kill that reaches all parked clients is measured beside its floor", { timeout: TIMEOUT_MS }, async () => {
  const [kill] = await bench("kill.last_of_1000");
  expect(kill).toMatchObject({ name: "kill.last_of_1000", unit: "ms" });
  expect(kill?.floor).toBeGreaterThan(0);
  expect(kill?.note).toContain("p99");
});

test(
  "ingest is measured beside plain inserts, and every acknowledged record is in the ledger",
  { timeout: TIMEOUT_MS },
  async () => {
    const [ingest] = await bench("ingest.postgres");
    expect(ingest).toMatchObject({ name: "ingest.postgres", unit: "records/s" });
    expect(ingest?.floor).toBeGreaterThan(0);
    expect(Object.keys(ingest?.peers ?? {})).toEqual(["an insert per record"]);
    expect(ingest?.note).toMatch(/memory \d+ → \d+ MiB/);
  },
);

test("an open board is weighed, and what it is sent", { timeout: TIMEOUT_MS }, async () => {
  const figures = await bench("board.first", "board.live");
  expect(figures.map(({ name, unit }) => `${name} ${unit}`)).toEqual(["board.first KB", "board.live KB/s"]);
});

test(
  "a reserve budget is never overspent, by processes whose calls use their whole worst case",
  { timeout: TIMEOUT_MS },
  async () => {
    const [reserve] = await bench("overshoot.reserve", "--workload", "worst");
    expect(reserve).toMatchObject({ name: "overshoot.reserve", unit: "USD", ours: 0 });
  },
);

test(
  "a trip budget ends under the bound that was shown at its trip, by the endpoint's bill",
  { timeout: TIMEOUT_MS },
  async () => {
    // The bench itself fails when the bill is above a bound that is known.
    const [trip] = await bench("overshoot.trip", "--workload", "chat");
    expect(trip?.note).toMatch(/billed .* bound (\$|unknown)/);
  },
);

test.each(["0", "1.5", "3601", "long"])("--seconds %s is refused with the usage", async (seconds) => {
  await expect(run(process.execPath, [BENCH, "--seconds", seconds])).rejects.toMatchObject({ code: 2 });
});

test("an unknown name is refused with the names there are", async () => {
  await expect(run(process.execPath, [BENCH, "evaluate.everything"])).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining("evaluate.static"),
  });
});
