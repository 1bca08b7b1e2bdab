/** What all guards of one host add to its reports of usage: one after the other, each hearing of what it has told itself. */
import type { GuardHost, ReportPart } from "../guard-host.ts";

export class ReportParts implements ReportPart {
  readonly #parts: ReportPart[] = [];
  #told: ReportPart[] = [];

  add(part: ReportPart): void {
    this.#parts.push(part);
  }

  get isDue(): boolean {
    return this.#parts.some(({ isDue }) => isDue);
  }

  take(): string {
    let fields = "";
    this.#told = this.#parts.filter((part) => {
      const own = part.take();
      fields += own;
      return own !== "";
    });
    return fields;
  }

  counted(answer: Readonly<Record<string, unknown>>): void {
    for (const part of this.#told) part.counted(answer);
  }

  lost(): void {
    for (const part of this.#told) part.lost();
  }
}

const byHost = new WeakMap<GuardHost, ReportParts>();

/** Those of a host, made on first use. */
export function reportPartsOf(host: GuardHost): ReportParts {
  const known = byHost.get(host);
  if (known !== undefined) return known;
  const made = new ReportParts();
  byHost.set(host, made);
  host.reportWith(made);
  return made;
}
