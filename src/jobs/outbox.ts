/**
 * Delivers alerts. A turn only begins deliveries and never waits for a receiver: what else the leader has to do goes on.
 */
import type { AlertDelivery } from "../services/alerts/delivery.ts";
import type { Job } from "./runner.ts";

export function outboxJob(delivery: AlertDelivery): Job {
  return { name: "outbox", everyMs: 1000, run: () => delivery.begin() };
}
