/** Each day with its models: what Claude bills, what Andon counted, and the difference. */
import type { ReconciliationAnswer } from "../../api/reconciliation.ts";
import { usd } from "../../domain/alert-text.ts";
import { usdParts } from "../../domain/usd-parts.ts";
import { dayWords, kindText, signedUsd } from "../../domain/drift-words.ts";

type Day = ReconciliationAnswer["days"][number];
type Line = Day["lines"][number];

const STATES: Readonly<Record<Day["state"], string>> = {
  unread: "not read yet",
  fresh: "read too soon, compared at the next poll after 06:00",
  partial: "before Andon counted a whole day",
  compared: "",
};

interface ComparedTableProps {
  days: readonly Day[];
  /** False: models only of days with a difference over the threshold. */
  allModels: boolean;
}

export function ComparedTable({ days, allModels }: ComparedTableProps) {
  return (
    <div class="scroll" tabindex={0} role="region" aria-label="Bill and ledger by day and model">
      <table class="prices">
        <thead>
          <tr>
            <th scope="col">Day, model</th>
            {["Difference", "Claude billed", "Andon counted", "Estimated"].map((label) => (
              <th scope="col" class="num">
                {label}
              </th>
            ))}
          </tr>
        </thead>
        {days.map((day) => (
          <tbody>
            <tr>
              <th scope="row">
                <b>{dayWords(day.day)}</b>
                {STATES[day.state] === "" ? null : <small>{STATES[day.state]}</small>}
              </th>
              <Figures of={figuresOf(day)} isStrong={day.lines.some(({ isOver }) => isOver)} />
            </tr>
            {linesOf(day, allModels).map(({ line, figures }) => (
              <tr>
                <th scope="row" class="sub">
                  <Name line={line} />
                  {Number(line.priorityNanoUsd) === 0 ? null : (
                    <small>{`${usd(Number(line.priorityNanoUsd))} Priority Tier, by list price`}</small>
                  )}
                </th>
                <Figures of={figures} isStrong={line.isOver} />
              </tr>
            ))}
            {Number(day.elsewhereNanoUsd) === 0 || !isShown(day, allModels) ? null : (
              <tr>
                <th scope="row" class="sub">
                  billed elsewhere
                  <small>not compared</small>
                </th>
                <td></td>
                <td></td>
                <td class="num dim">{usd(Number(day.elsewhereNanoUsd))}</td>
                <td></td>
              </tr>
            )}
          </tbody>
        ))}
      </table>
    </div>
  );
}

function isShown({ lines }: Day, allModels: boolean): boolean {
  return allModels || lines.some(({ isOver }) => isOver);
}

/** With figures that add up to those of their day. */
function linesOf(day: Day, allModels: boolean): { line: Line; figures: Shown }[] {
  if (!isShown(day, allModels)) return [];
  const { lines } = day;
  const provider = parts(lines.map(({ providerNanoUsd }) => BigInt(providerNanoUsd)));
  const ledger = parts(lines.map(({ ledgerNanoUsd }) => BigInt(ledgerNanoUsd)));
  const estimated = parts(lines.map(({ estimatedNanoUsd }) => BigInt(estimatedNanoUsd)));
  return lines.map((line, at) => ({
    line,
    figures: {
      difference: signedUsd(Number(line.differenceNanoUsd)),
      provider: provider[at] ?? "",
      ledger: ledger[at] ?? "",
      estimated: estimated[at] ?? "",
    },
  }));
}

/** Parts of a sum; of what is credited each alone. */
function parts(nanoUsd: readonly bigint[]): string[] {
  return nanoUsd.some((one) => one < 0n) ? nanoUsd.map((one) => usdOrCredit(Number(one))) : usdParts(nanoUsd);
}

function usdOrCredit(nanoUsd: number): string {
  return nanoUsd < 0 ? signedUsd(nanoUsd) : usd(nanoUsd);
}

function Name({ line: { kind, name } }: { line: Line }) {
  if (kind === "other") return <>{kindText(name)}</>;
  return name === "" ? <>no named model</> : <code>{name}</code>;
}

interface Shown {
  difference: string;
  provider: string;
  ledger: string;
  estimated: string;
}

function figuresOf(day: Day): Shown {
  return {
    difference: signedUsd(Number(day.differenceNanoUsd)),
    provider: usdOrCredit(Number(day.providerNanoUsd)),
    ledger: usd(Number(day.ledgerNanoUsd)),
    estimated: usd(Number(day.estimatedNanoUsd)),
  };
}

function Figures({ of, isStrong }: { of: Shown; isStrong: boolean }) {
  return (
    <>
      <td class="num">{isStrong ? <b>{of.difference}</b> : of.difference}</td>
      <td class="num">{of.provider}</td>
      <td class="num">{of.ledger}</td>
      <td class="num">{of.estimated}</td>
    </>
  );
}
