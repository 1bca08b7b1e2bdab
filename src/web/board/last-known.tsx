/**
 * The board while the database is away: what this server still knows, marked as such, and what to do instead of a kill.
 * Buttons that would fail are not shown.
 */
import type { Actor } from "../../domain/actor.ts";
import type { LastKnownBoard } from "./state.ts";
import { mayOperate } from "../shell/page-context.ts";
import { age, percent } from "../text/text.ts";
import { effectiveState } from "../../../sdk-client/src/evaluate/effective-state.ts";
import { type ModelTable, modelTable } from "../../../sdk-client/src/evaluate/model-table.ts";
import type { SnapshotFlag, Snapshot } from "../../../sdk-client/src/wire/protocol.ts";

export function LastKnown({ board, actor }: { board: LastKnownBoard; actor: Actor }) {
  const { snapshot } = board;
  const { blockedModels: blocked, aliases, prices } = snapshot;
  const models = modelTable({ blocked, aliases, prices });
  const keys = Object.keys(snapshot.flags).toSorted();
  return (
    <>
      <h1 class="unseen">{`Board of ${board.environmentKey}, as last known`}</h1>
      <section class="card off" role="alert" id="database-away">
        <h2>The database is away</h2>
        <p>
          {board.ageSeconds === 0 ? "It does not answer." : `It has not answered for ${age(board.ageSeconds)}.`} Below
          is the state as last known. Applications keep to it: polls are served from memory.
        </p>
        {mayOperate(actor) ? (
          <>
            <p>
              <b>Nothing can be killed or restored from here now.</b> To stop AI calls without the database:
            </p>
            <ol>
              <li>
                set <code>ANDON_KILL=*</code> (or the flag's key) in the application's environment and restart it, or
              </li>
              <li>revoke the provider's API key.</li>
            </ol>
          </>
        ) : null}
        <p class="dim">This page tries again by itself.</p>
      </section>
      <section aria-label="Flags, as last known" class="flags">
        {keys.map((key) => {
          const flag = snapshot.flags[key];
          return flag === undefined ? null : <KnownFlag name={key} flag={flag} snapshot={snapshot} models={models} />;
        })}
      </section>
    </>
  );
}

const WORDS = { off: "Off", downgraded: "Downgraded", ramping: "Ramping", on: "On" } as const;

interface KnownFlagProps {
  name: string;
  flag: SnapshotFlag;
  snapshot: Snapshot;
  models: ModelTable;
}

function KnownFlag({ name, flag, snapshot, models }: KnownFlagProps) {
  const masterOff = snapshot.master.state === "off";
  const steps = flag.chain === null ? [] : (snapshot.chains[flag.chain]?.steps ?? []);
  const { state, level, ramp } = flag;
  const now = effectiveState({ masterOff, state, isTripped: flag.cause === "budget", level, ramp, steps }, models);
  const light = now.state === "ramping" ? "downgraded" : now.state;
  const first = now.state === "off" ? undefined : now.models[0];
  return (
    <article class={`card ${light}`} id={`flag-${name}`}>
      <div class="card-head">
        <span class={`light ${light}`} aria-hidden="true"></span>
        <h3>
          <code>{name}</code>
        </h3>
      </div>
      <p class="state">
        <b class={`word ${light}`}>{WORDS[now.state]}</b> {masterOff ? "by the master switch " : ""}
        {first === undefined ? "" : <code>{first}</code>}
        {flag.ramp === null ? "" : ` for ${percent(flag.ramp)} of users`} <span class="dim">as last known</span>
      </p>
    </article>
  );
}
