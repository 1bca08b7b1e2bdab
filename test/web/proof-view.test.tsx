/** The names beside a proof: one that runs and is late is told from one that was lost, held off, silent or not counted. */
import { Hono } from "hono";
import { expect, it } from "vitest";
import { type Fleet, type FleetGroup, type Member, timedProof } from "../../src/domain/fleet.ts";
import { ProofView } from "../../src/web/shell/proof-view.tsx";

function member(instance: string, changes: Partial<Member> = {}): Member {
  return {
    id: instance,
    instance,
    app: null,
    sdk: null,
    state: "live",
    n: 1,
    revision: "a.1",
    appliedAt: null,
    lastSeen: "2026-01-02T03:04:05.000Z",
    silentSeconds: 2,
    disconnectedSeconds: null,
    local: null,
    declaredDead: null,
    ...changes,
  };
}

/** All of them named, with `more` that are alike and are not. */
function fleetOf(members: readonly Member[], more: readonly FleetGroup[] = []): Fleet {
  const of = (state: Member["state"]) => members.filter((one) => one.state === state);
  return {
    groups: [...members.map(({ state, n, local }) => ({ state, n, local, isRecent: true, count: 1 })), ...more],
    live: of("live"),
    lost: of("lost"),
    silent: of("silent"),
    held: members.filter(({ local }) => local !== null),
    returned: [],
    notCounted: [],
    any: true,
    at: "2026-01-02T03:04:05.000Z",
  };
}

async function html(fleet: Fleet, restored: string | null = null, lastMs?: number): Promise<string> {
  const proof = timedProof(fleet, { n: 2, restored }, new Map(lastMs === undefined ? [] : [[2, lastMs]]));
  const page = new Hono().get("/", (c) => c.html(<ProofView proof={proof} fresh={false} what="Chat" />));
  return (await page.request("/")).text();
}

it("names who is late, and who was lost and may still be serving", async () => {
  const page = await html(
    fleetOf([
      member("host-1"),
      member("host-2", { silentSeconds: 52 }),
      member("host-3", { silentSeconds: 20, state: "lost", disconnectedSeconds: 4 }),
    ]),
  );
  expect(page).toContain("<b>0 of 3</b>");
  expect(page).toContain("Not yet: host-1 and host-2 (last heard of 50 s ago)");
  expect(page).toContain("Connection lost 4 s ago, may still be serving: host-3<");
});

it("never counts a lost one as applied, and says that it had", async () => {
  const page = await html(fleetOf([member("host-1", { n: 2 }), member("host-2", { n: 2, state: "lost" })]));
  expect(page).toContain("<b>1 of 2</b>");
  expect(page).toContain("may still be serving: host-2 (had applied it)");
  expect(page).not.toContain("✓");
});

it("caps the names and never the count", async () => {
  const page = await html(
    fleetOf([member("a"), member("b"), member("c")], [{ state: "live", n: 1, local: null, isRecent: true, count: 12 }]),
  );
  expect(page).toContain("<b>0 of 15</b>");
  expect(page).toContain("Not yet: a, b, c and 12 more");
});

it("names a few who are silent, and counts many: their names are a page of their own", async () => {
  const silent = ["a", "b", "c", "d"].map((name) => member(name, { state: "silent", silentSeconds: 120 }));
  const of = (n: number) => html(fleetOf([member("host-1", { n: 2 }), ...silent.slice(0, n)]));
  expect(await of(3)).toContain("3 silent: a for 2 min, b for 2 min and c for 2 min<");
  expect(await of(4)).toContain("4 silent, named under Instances<");
  expect(await of(4), "nobody knows of those").not.toContain("✓");
});

it("a restore is complete without who refuses by itself, which is named and never counted as applied", async () => {
  const held = member("host-7", { n: 2, local: ["chat"] });
  const page = await html(fleetOf([member("host-1", { n: 2 }), held]), "chat", 120);
  expect(page).toContain("<b>1 of 1</b>");
  expect(page).toContain(`applied it<span class="took"> in 120 ms</span>`);
  expect(page).not.toContain("so far");
  expect(page).not.toContain("✓");
  expect(page).toContain("1 more refuses by ANDON_KILL: host-7<");
  expect(await html(fleetOf([member("host-1"), held]), "chat")).toContain("<b>0 of 1</b>");
  expect(await html(fleetOf([member("host-1", { n: 2 }), held]), "search")).toContain("<b>2 of 2</b>");
  const alone = await html(fleetOf([held]), "chat");
  expect(alone).toContain("<b>No instance that could apply it</b>");
  expect(alone).toContain("1 instance refuses by ANDON_KILL: host-7<");
});

it("does not say that all have it while some are not counted", async () => {
  const notCounted = [{ token: "ci", because: "new names" as const, atLeast: 12 }];
  const page = await html({ ...fleetOf([member("host-1", { n: 2 })]), notCounted });
  expect(page).toContain("At least 12 more are not counted: token ci invents names.");
  expect(page).not.toContain("✓");
});
