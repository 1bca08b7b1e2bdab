/**
 * Message threads of the beta API: the provider holds the conversation, and a request that continues one sends the new
 * turn alone. `system`, `tools` and `output_config` are the thread's: a step that sets them cannot continue it.
 */
import type { ModelChoice } from "../evaluate/chain-plan.ts";
import type { Body } from "./request.ts";
import { isObject } from "../wire/json.ts";

const OF_THE_THREAD: ReadonlySet<string> = new Set(["system", "tools", "output_config"]);

/** The choices for this body: of one that continues a thread those before the first that cannot continue it. */
export function continuable(body: Body, choices: readonly ModelChoice[]): readonly ModelChoice[] {
  const thread = body["thread"];
  if (!isObject(thread) || thread["type"] !== "continue") return choices;
  const end = choices.findIndex(({ step }) => step !== null && changesThread(step));
  return end < 0 ? choices : choices.slice(0, end);
}

function changesThread({ set = {}, unset = [] }: NonNullable<ModelChoice["step"]>): boolean {
  return [...Object.keys(set), ...unset].some((field) => OF_THE_THREAD.has(field));
}

/**
 * What the API answers when it has lost a thread: the SDK then sends the whole conversation anew (`BetaMessageThread` and
 * `toolRunner`, 1.11 to 1.14), and so does whoever continues threads by hand.
 */
export function threadNotFound(): Response {
  const message =
    "The flag's step sets what belongs to the thread (system, tools or output_config), so that it cannot continue it. " +
    "Send the whole conversation, as for a thread that was lost.";
  const error = { type: "not_found_error", message, details: { error_code: "thread_not_found" } };
  const headers = { "content-type": "application/json", "x-should-retry": "false" };
  return new Response(JSON.stringify({ type: "error", error }), { status: 404, headers });
}
