/**
 * Holds every request of a message batch to the flag's chain. A batch is sent once and answered hours later: there is
 * no stepping down on failures. Invariant: a batch never carries a model that a single call could not use now.
 */
import type { ModelChoice } from "../evaluate/chain-plan.ts";
import { bodyFor, type Fitting } from "./body.ts";
import { type RefusedName, refusedInMessage } from "./names.ts";
import type { Body } from "./request.ts";
import { isObject } from "../wire/json.ts";

/** What to send: the batch as it is, another body, or nothing, because of what one of its requests names. */
export type BatchPlan =
  | { kind: "asIs" }
  | { kind: "changed"; body: string }
  | { kind: "noModel"; requested: string }
  | { kind: "refused"; name: RefusedName };

/** Plans a batch. `choose` names the first usable model for a requested one; undefined when there is none. */
export function planBatch(
  batch: Body,
  choose: (model: string) => ModelChoice | undefined,
  fitting: Fitting,
): BatchPlan {
  const requests: unknown = batch["requests"];
  // What is no batch is the API's to refuse.
  if (!Array.isArray(requests)) return { kind: "asIs" };
  let isChanged = false;
  const planned: unknown[] = [];
  for (const [index, request] of (requests as unknown[]).entries()) {
    const params = isObject(request) ? request["params"] : undefined;
    const model = isObject(params) ? params["model"] : undefined;
    if (!isObject(request) || !isObject(params) || typeof model !== "string") {
      planned.push(request);
      continue;
    }
    const choice = choose(model);
    if (choice === undefined) return { kind: "noModel", requested: model };
    const name = fitting.refusing === null ? null : refusedInMessage(params, fitting.refusing);
    if (name !== null) return { kind: "refused", name: { ...name, path: `requests[${index}].params.${name.path}` } };
    const changed = bodyFor(params, choice, fitting);
    if (changed !== null) isChanged = true;
    planned.push(changed === null ? request : { ...request, params: changed });
  }
  return isChanged ? { kind: "changed", body: JSON.stringify({ ...batch, requests: planned }) } : { kind: "asIs" };
}
