/** The names beside a proof: one that runs and is late is told from one that was cut off. */
import { Hono } from "hono";
import { expect, it } from "vitest";
import type { InstanceView } from "../../src/web/proof.ts";
import { countProof } from "../../src/web/proof.ts";
import { ProofView } from "../../src/web/proof-view.tsx";

function late(instance: string, changes: Partial<InstanceView>): InstanceView {
  return {
    instance,
    app: null,
    sdk: null,
    revision: "a.1",
    appliedAt: null,
    lastSeen: "2026-01-02T03:04:05.000Z",
    state: "live",
    silentSeconds: 2,
    current: false,
    disconnectedSeconds: null,
    ...changes,
  };
}

it("names who is late, and who was cut off", async () => {
  const instances = [
    late("host-1", {}),
    late("host-2", { silentSeconds: 52 }),
    late("host-3", { silentSeconds: 20, disconnectedSeconds: 4 }),
  ];
  const proof = { ...countProof(instances, "a", 2), lastMs: null };
  const page = new Hono().get("/", (c) => c.html(<ProofView proof={proof} fresh={false} what="Chat" />));
  const html = await (await page.request("/")).text();
  expect(html).toContain("<b>0 of 3</b>");
  expect(html).toContain("host-1, host-2 (last heard of 50 s ago) and host-3 (cut off 4 s ago, probably gone)");
});
