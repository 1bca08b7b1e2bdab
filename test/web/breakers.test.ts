/**
 * On-call sees which model a breaker has taken out, since when and why, and lets it run again by one press; and what Claude
 * refuses, where and for which flags. No browser.
 */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ACCOUNT, BREAKER } from "../../src/domain/actor.ts";
import { SETTLE_MS } from "../../src/domain/account-fault.ts";
import { runAccountFaults } from "../../src/services/accounts/account-faults.ts";
import { runBreakers } from "../../src/services/models/breakers.ts";
import { callFor } from "../support/usage.ts";
import { type Pages, pagesAs } from "./pages.ts";
import { startWorld, type World } from "./world.ts";

const OPUS = "claude-opus-5-5";
const WHY = "24 of 24 calls failed on 3 of 3 instances in 60 s";
const E = "/e/production";
let world: World;
let pages: Pages;

beforeAll(async () => {
  world = await startWorld({ instances: 0 });
  pages = await pagesAs(world, world.operator);
  const { deps } = world.server;
  const environmentId = deps.snapshots.environmentByKey("production")?.environmentId ?? "";
  for (const instance of ["host-1", "host-2", "host-3"]) {
    const records = Array.from({ length: 8 }, () =>
      callFor(0.01, { outcome: "error", status: 529, at: deps.clock.nowMs() }),
    );
    await deps.ledger.submit(environmentId, { batchId: randomUUID(), instance, records, tokenId: "app", rejected: [] });
  }
  await runBreakers({ actor: BREAKER, requestId: "test", deps }, environmentId);
});
afterAll(() => world.close());

it("is told on the board, on the models page and among the incidents, and restored by a press", async () => {
  const board = await pages.text(E);
  expect(board).toContain(`${OPUS} is failing: its breaker took it out`);
  expect(board).toContain(`a breaker took out ${OPUS} — ${WHY}`);
  const models = await pages.text(`${E}/models`);
  expect(models).toContain(`by its breaker — ${WHY} · probed from`);
  const incidents = await pages.text(`${E}/incidents`);
  expect(incidents).toContain(`${OPUS}: ${WHY}. Out of the chains of:`);

  const after = await pages.post(`${E}/models/restore`, { model: OPUS });
  expect(after).toContain(`Restored ${OPUS}: chains use it again.`);
  expect(after).toContain(`${WHY} · restored`);
  expect(await pages.text(E)).not.toContain("a breaker took out");
});

it("says which calls Claude refuses for their account, and on which instances", async () => {
  const { deps } = world.server;
  const environmentId = deps.snapshots.environmentByKey("production")?.environmentId ?? "";
  const at = deps.clock.nowMs() - SETTLE_MS;
  const records = [callFor(0, { outcome: "error", status: 402, errorType: "billing_error", at })];
  const batch = { batchId: randomUUID(), instance: "host-2", records, tokenId: "app", rejected: [] };
  await deps.ledger.submit(environmentId, batch);
  await runAccountFaults({ actor: ACCOUNT, requestId: "test", deps }, environmentId);
  for (const page of [E, `${E}/incidents`]) {
    const text = await pages.text(page);
    expect(text).toContain("The Claude account is out of money");
    expect(text).toContain("Refused on 1 of 1 instances (host-2): ");
  }
  const refused = "Calls are refused. The Claude account is out of money.";
  expect(await pages.part(E, "article", "flag-support-chat")).toContain(refused);
  const page = await pages.html(`${E}/flags/support-chat`);
  expect(page).toMatch(/<section class="card over"/);
  expect(await pages.text(`${E}/flags/support-chat`)).toContain(refused);
  const html = await pages.html(E);
  expect(html).toMatch(/class="card flag over" id="flag-support-chat"/);
  expect(html).toMatch(/class="card flag on" id="flag-draft-reply"/);
  expect(await pages.text(E)).toContain("1 refused by Claude");
  expect(await pages.text(E)).toContain("Calls are refused now on 1 of 1 instances: host-2.");
  expect(await pages.text(`${E}/audit`)).toContain("The Claude account is out of money");
});
