/**
 * The board while the database is away: what this server still knows, marked as such, and what to do instead of a kill.
 * Buttons that would fail are not shown.
 */
import type { Actor } from "../../domain/actor.ts";
import type { LastKnownBoard } from "./state.ts";
import { mayOperate } from "../shell/page-context.ts";
import { age } from "../../domain/age.ts";
import { percent } from "../text/text.ts";
import { type CompiledFlag, compile } from "../../../sdk-client/src/evaluate/compile.ts";

export function LastKnown({ board, actor }: { board: LastKnownBoard; actor: Actor }) {
  const { snapshot } = board;
  const { masterOff, flags } = compile(snapshot);
  const known = [...flags].toSorted(([a], [b]) => (a < b ? -1 : 1));
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
        {known.map(([key, flag]) => (
          <KnownFlag name={key} flag={flag} masterOff={masterOff} />
        ))}
      </section>
    </>
  );
}

const WORDS = { off: "Off", downgraded: "Downgraded", ramping: "Ramping", on: "On" } as const;

interface KnownFlagProps {
  name: string;
  flag: CompiledFlag;
  masterOff: boolean;
}

function KnownFlag({ name, flag: { now, source }, masterOff }: KnownFlagProps) {
  const light = now.state === "ramping" ? "downgraded" : now.state;
  const isOn = now.state !== "off";
  const first = isOn ? now.models[0] : undefined;
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
        {source.ramp === null || !isOn ? "" : ` for ${percent(source.ramp)} of users`}{" "}
        <span class="dim">as last known</span>
      </p>
    </article>
  );
}
