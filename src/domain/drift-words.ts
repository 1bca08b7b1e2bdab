/** Differences between Claude's bill and the ledger, in words for on-call. Pure. */
import { usd } from "./alert-text.ts";
import type { DriftCause, Line } from "./reconciliation.ts";

/** Lines said in one alert; the rest is counted. */
const MAX_SAID = 5;

type Difference = Pick<
  Line,
  "day" | "kind" | "name" | "differenceNanoUsd" | "providerNanoUsd" | "ledgerNanoUsd" | "estimatedNanoUsd" | "cause"
>;

/** Whether the organisation may have calls of others, which makes those the likelier. */
export interface DriftScope {
  isWhole: boolean;
}

/** `Claude billed $12.40 more than Andon counted on 26 Nov for claude-opus-5-5`. */
export function driftLine(line: Difference): string {
  const { differenceNanoUsd, day, kind, name } = line;
  const of = kind === "model" ? (name === "" ? "no named model" : name) : kindText(name);
  const how =
    differenceNanoUsd > 0n
      ? `Claude billed ${usd(Number(differenceNanoUsd))} more than Andon counted`
      : `Andon counted ${usd(Number(-differenceNanoUsd))} more than Claude billed`;
  return `${how} on ${dayWords(day)} for ${of}`;
}

/** The same with what it comes from, as far as is known. */
export function driftText(line: Difference, scope: DriftScope): string {
  return `${driftLine(line)}: ${line.cause === null ? "within the threshold" : causeText(line, line.cause, scope)}.`;
}

function causeText({ kind, name, estimatedNanoUsd }: Difference, cause: DriftCause, { isWhole }: DriftScope): string {
  switch (cause) {
    case "unseen":
      if (kind === "other" && name !== "web_search") return "no call tells Andon of it";
      return isWhole
        ? "calls that Andon did not see, of others in the organisation or not through a guard"
        : "calls that did not go through a guard, most likely";
    case "price":
      return "the tokens agree, so it is the price; correct it on the page Prices";
    case "estimated":
      return `${usd(Number(estimatedNanoUsd))} of what Andon counted is estimated, and estimates run high`;
    case "elsewhere":
      return "calls that Claude bills elsewhere (a cloud, another organisation or workspace), most likely";
  }
}

export function driftTitle(lines: readonly Difference[]): string {
  const [first] = lines;
  if (first === undefined) return "Claude's bill and Andon's ledger agree again";
  if (lines.length === 1) return driftLine(first);
  const days = new Set(lines.map(({ day }) => day));
  return days.size === 1
    ? `Claude's bill and Andon's ledger differ on ${dayWords(first.day)}`
    : `Claude's bill and Andon's ledger differ on ${days.size} days`;
}

export function driftsText(lines: readonly Difference[], scope: DriftScope): string {
  const said = lines.slice(0, MAX_SAID).map((line) => driftText(line, scope));
  const more = lines.length - said.length;
  return `${said.join(" ")}${more > 0 ? ` And ${more} more.` : ""}`;
}

/** What is done about it, for the alert that tells of it at once. */
export function driftHoldsText({ isWhole }: DriftScope): string {
  const map = isWhole
    ? " If others call Claude in this organisation, say with ANDON_ANTHROPIC_WORKSPACES which workspaces are whose."
    : "";
  return ` Nothing was switched. It ends by itself when the two agree, or when the day is a week old.${map}`;
}

/** `+$12.40`, `−$3.00`, `$0.00`. */
export function signedUsd(nanoUsd: number): string {
  if (nanoUsd === 0) return usd(0);
  return nanoUsd > 0 ? `+${usd(nanoUsd)}` : `−${usd(-nanoUsd)}`;
}

/** `26 Nov`. */
export function dayWords(day: string): string {
  return new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", day: "numeric", month: "short" }).format(new Date(day));
}

/** `web search`, `code execution`. */
export function kindText(name: string): string {
  return name.replaceAll("_", " ");
}
