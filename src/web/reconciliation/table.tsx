/** Each day with its models: what Claude bills, what Andon counted, and the difference. */
import type { ReconciliationAnswer } from "../../api/reconciliation.ts";
import { usd } from "../../domain/alert-text.ts";
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
              <Figures of={day} isStrong={day.lines.some(({ isOver }) => isOver)} />
            </tr>
            {linesOf(day, allModels).map((line) => (
              <tr>
                <th scope="row" class="sub">
                  <Name line={line} />
                  {Number(line.priorityNanoUsd) === 0 ? null : (
                    <small>{`${usd(Number(line.priorityNanoUsd))} Priority Tier, by list price`}</small>
                  )}
                </th>
                <Figures of={line} isStrong={line.isOver} />
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

function linesOf(day: Day, allModels: boolean): readonly Line[] {
  return isShown(day, allModels) ? day.lines : [];
}

function Name({ line: { kind, name } }: { line: Line }) {
  if (kind === "other") return <>{kindText(name)}</>;
  return name === "" ? <>no named model</> : <code>{name}</code>;
}

type Sums = Pick<Line, "providerNanoUsd" | "ledgerNanoUsd" | "estimatedNanoUsd" | "differenceNanoUsd">;

function Figures({ of, isStrong }: { of: Sums; isStrong: boolean }) {
  const difference = signedUsd(Number(of.differenceNanoUsd));
  const provider = Number(of.providerNanoUsd);
  return (
    <>
      <td class="num">{isStrong ? <b>{difference}</b> : difference}</td>
      <td class="num">{provider < 0 ? signedUsd(provider) : usd(provider)}</td>
      <td class="num">{usd(Number(of.ledgerNanoUsd))}</td>
      <td class="num">{usd(Number(of.estimatedNanoUsd))}</td>
    </>
  );
}
