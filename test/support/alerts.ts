/** Writes alerts to the outbox as a change does, and drives their delivery by a clock that the test moves. */
import type { Deps } from "../../src/deps.ts";
import { change } from "../../src/change.ts";
import { AlertDelivery } from "../../src/services/alerts/delivery.ts";
import { enqueue } from "../../src/services/alerts/outbox.ts";
import { listAlerts } from "../../src/services/alerts/alerts.ts";
import type { AlertResource } from "../../src/api/alert.ts";
import type { FakeClock } from "./clock.ts";
import { adminCtx } from "./server.ts";

/** One alert to every channel of production; `text` also makes it the one alert of its kind. */
export async function writeAlert(deps: Deps, text: string): Promise<void> {
  const ctx = adminCtx(deps);
  const id = deps.snapshots.environmentByKey("production")?.environmentId;
  if (id === undefined) throw new Error("production is not loaded");
  await change(ctx, id, (open) =>
    enqueue(ctx, open, {
      incidentId: null,
      dedupKey: text,
      payload: {
        type: "test",
        environment: "production",
        incidentId: null,
        title: text,
        text,
        at: open.at.toISOString(),
        url: "http://127.0.0.1:4280/e/production/incidents",
      },
    }),
  );
}

/** All alerts, oldest first. */
export async function alertsOf(deps: Deps): Promise<AlertResource[]> {
  const { items } = await listAlerts(adminCtx(deps), "production", { limit: 200 });
  return items.toReversed();
}

/** A delivery with backoff that always waits its longest, so that tests know when. */
export const deliveryOf = (deps: Deps): AlertDelivery => new AlertDelivery(deps, () => 0);

/** Turns of the delivery, one every `stepMs`, each waited for until nothing is under way. */
export async function turns(delivery: AlertDelivery, clock: FakeClock, count: number, stepMs = 1000): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) {
    await delivery.begin();
    await delivery.idle();
    clock.advance(stepMs);
  }
}
