/** Message batches of a flag, which a switch does not end: what runs, the button that has it canceled, and what came of it. */
import type { FlagResource } from "../../api/flag.ts";
import { lastAsked, runningWords } from "../../domain/message-batch.ts";
import type { MessageBatch } from "../../services/batches/view.ts";
import { Moment } from "../shell/moment.tsx";

interface Props {
  of: Pick<FlagResource, "key" | "name">;
  batches: readonly MessageBatch[] | undefined;
  nowMs: number;
  base: string;
  operator: boolean;
}

export function BatchesLine({ of, batches = [], nowMs, base, operator }: Props) {
  const running = runningWords(batches, nowMs);
  const asked = lastAsked(batches);
  if (running === null && asked === null) return null;
  const path = `${base}/flags/${of.key}/batches/cancel`;
  return (
    <div class="fact">
      {asked === null ? null : (
        <p class="state">
          Cancel {asked.batches}, asked{asked.by === null ? "" : ` by ${asked.by}`}{" "}
          <Moment at={asked.at.toISOString()} nowMs={nowMs} />: {asked.came}.
        </p>
      )}
      {running === null ? null : <p class="state">{running.words}.</p>}
      {running === null || !operator ? null : (
        <form method="post" action={path}>
          <button class="danger" aria-label={`Cancel ${running.batches} of ${of.name}`}>
            Cancel {running.batches}
          </button>
        </form>
      )}
    </div>
  );
}
