/** Flag keys that applications ask for and nobody has made: named, with what may be meant, and one press from being made. */
import type { UndefinedBurn } from "../../services/board/money.ts";
import type { UnknownFlags } from "../../api/flag.ts";
import { Moment } from "../shell/moment.tsx";
import { burnText } from "../text/money.ts";
import { Place } from "./parts.ts";
import { count, listed } from "../text/text.ts";

/** More are told in number. */
const SHOWN = 5;

export interface UnknownFlagsLineProps {
  unknown: UnknownFlags;
  base: string;
  admin: boolean;
  nowMs: number;
}

/** What they burn: with the rows of the flags, all that the sum beside the master switch is made of. */
export function UnknownBurn({ burn: { burnNanoUsdPerHour: burn, still } }: { burn: UndefinedBurn }) {
  return (
    <span id="unknown-burn">
      {burn > 0 && still !== null ? (
        <b class="word off">{`They still burn ${burnText(burn)}: ${listed(still)}.`}</b>
      ) : (
        `They burn ${burnText(burn)}.`
      )}
    </span>
  );
}

export function UnknownFlagsLine({ unknown, base, admin, nowMs }: UnknownFlagsLineProps) {
  const { items, isFull } = unknown;
  if (items.length === 0) return null;
  const rest = items.length - SHOWN;
  return (
    <section class="card" aria-labelledby="unknown-title">
      <h2 id="unknown-title">
        {`Applications ask for ${count(items.length, "flag")}${isFull ? " or more" : ""} that nobody has made`}
      </h2>
      <p class="dim">
        Nothing here can stop those calls but the master switch, or a block of their model. <Place id="unknown-burn" />
      </p>
      <ul class="list">
        {items.slice(0, SHOWN).map(({ key, meant, askedAt, instance, app, isKey }) => (
          <li class="entry">
            <p>
              <code>{key}</code>
              {meant === null ? null : (
                <>
                  {" "}
                  (did you mean <code>{meant}</code>?)
                </>
              )}
              , last <Moment at={askedAt} nowMs={nowMs} /> by {app ?? instance}
              {isKey ? "" : ". No flag can have this key: it has 1 to 64 lower-case letters, digits, - or _"}
            </p>
            {admin && isKey ? (
              <a class="button" href={`${base}/flags/new?key=${key}`} aria-label={`Make the flag ${key}`}>
                Make this flag…
              </a>
            ) : null}
          </li>
        ))}
      </ul>
      {rest > 0 ? <p class="dim">{`and ${rest}${isFull ? " or more" : ""} others`}</p> : null}
    </section>
  );
}
