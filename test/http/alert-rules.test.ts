/** `ops/`: what its alerts and its dashboard ask for is what `/metrics` of a server with traffic tells. */
import { readFileSync } from "node:fs";
import { parser } from "@prometheus-io/lezer-promql";
import { parse } from "yaml";
import { expect, it } from "vitest";
import { FakeClock } from "../support/clock.ts";
import { batchOf, callFor } from "../support/usage.ts";
import { expectStatus, seed, startHarness } from "./harness.ts";

const NOW = Date.parse("2026-03-02T09:00:00Z");
const ENV = "/v1/environments/production";
/** What Prometheus adds to each series. */
const SCRAPED = ["job", "instance"];

const read = (name: string) => readFileSync(new URL(`../../ops/${name}`, import.meta.url), "utf8");
const rules: { groups: { rules: { alert: string; expr: string }[] }[] } = parse(read("alerts.yml"));
const dashboard: { panels: { title: string; targets: { expr: string }[] }[] } = JSON.parse(
  read("grafana-dashboard.json"),
);
const alerts = rules.groups.flatMap((group) => group.rules);
const asked = [
  ...alerts.map(({ alert, expr }) => ({ name: alert, expr })),
  ...dashboard.panels.flatMap(({ title, targets }) => targets.map(({ expr }) => ({ name: title, expr }))),
];

/** Metrics and labels that an expression names; `faults` is what is no PromQL. */
function partsOf(expr: string): { metrics: string[]; labels: string[]; faults: number } {
  const metrics: string[] = [];
  const labels: string[] = [];
  let faults = 0;
  parser.parse(expr).iterate({
    enter: ({ type, from, to, node }) => {
      if (type.isError) faults += 1;
      if (type.name === "Identifier" && node.parent?.name === "VectorSelector") metrics.push(expr.slice(from, to));
      if (type.name === "LabelName") labels.push(expr.slice(from, to));
    },
  });
  return { metrics, labels, faults };
}

it("asks only for metrics and labels that a server with traffic tells", async () => {
  const world = await startHarness({ clock: new FakeClock(NOW) });
  try {
    await seed(world);
    const channel = { kind: "webhook", name: "Pager", url: "https://pager.test/never" };
    await expectStatus(world.call("POST", `${ENV}/channels`, { body: channel }), 201);
    const budget = { name: "daily", scope: { flag: "support-chat" }, limitUsd: 100 };
    await expectStatus(world.call("POST", `${ENV}/budgets`, { body: budget }), 201);
    await expectStatus(
      world.call("PUT", `${ENV}/models/claude-opus-5-5`, { body: { blocked: true, reason: "x" } }),
      200,
    );
    const batch = batchOf([callFor(85, { at: NOW })]);
    await expectStatus(world.call("POST", "/sdk/v1/usage", { token: world.tokens.sdk, body: batch }), 200);
    const answer = await expectStatus(world.call("GET", "/metrics", { token: world.tokens.viewer }), 200);
    const told = new Map<string, Set<string>>([["up", new Set()]]);
    for (const line of (await answer.text()).split("\n")) {
      const [, name, pairs = ""] = /^(\w+)(?:\{(.*)\})? /.exec(line) ?? [];
      if (name === undefined) continue;
      told.set(name, new Set([...pairs.matchAll(/(\w+)="/g)].map(([, label = ""]) => label)));
    }
    const faults = asked.flatMap(({ name, expr }) => {
      const { metrics, labels, faults: wrong } = partsOf(expr);
      const known = new Set([...SCRAPED, ...metrics.flatMap((metric) => [...(told.get(metric) ?? [])])]);
      return [
        ...(wrong > 0 || metrics.length === 0 ? [`${name}: no PromQL`] : []),
        ...metrics.filter((metric) => !told.has(metric)).map((metric) => `${name}: no metric ${metric}`),
        ...labels.filter((label) => !known.has(label)).map((label) => `${name}: no label ${label}`),
      ];
    });
    expect(faults).toEqual([]);
    expect(partsOf('max without (instance) (andon_made_up{nope="x"})')).toEqual({
      metrics: ["andon_made_up"],
      labels: ["instance", "nope"],
      faults: 0,
    });
    expect(partsOf("sum(andon_calls_total[5m) >").faults).toBeGreaterThan(0);
  } finally {
    await world.close();
  }
});

it("stages every alert for promtool", () => {
  const staged = read("alerts.test.yml");
  expect(alerts.filter(({ alert }) => !staged.includes(`alertname="${alert}"`))).toEqual([]);
});
