/**
 * The account of a bill: what the application told of its records and calls, against what the endpoint has billed, request by
 * request. Invariant looked for: exact records are equal to their bill, estimated ones are never below it.
 */
import type { Billed } from "./bill-endpoint.ts";
import type { BillMessage, Closed } from "./bill-protocol.ts";

/** What was recorded of one request, or of all of a call whose answers never began. */
interface Recorded {
  exactNanoUsd: number;
  estimatedNanoUsd: number;
  records: string[];
}

/** Requests of one kind, as far as they were estimated, whole or in part. */
export interface Estimated {
  requests: number;
  billNanoUsd: number;
  recordedNanoUsd: number;
}

export interface Sums {
  exactNanoUsd: number;
  estimatedNanoUsd: number;
}

export interface Compared {
  faults: string[];
  requests: number;
  /** Requests all of whose records are exact, what they were billed, and what they were recorded at. */
  exactRequests: number;
  exactBillNanoUsd: number;
  exactRecordedNanoUsd: number;
  estimatedBillNanoUsd: number;
  estimatedRecordedNanoUsd: number;
  /** By how the endpoint answered, and by what was asked. */
  byAnswer: ReadonlyMap<string, Estimated>;
  byAsked: ReadonlyMap<string, Estimated>;
}

export class Account {
  readonly ends = new Map<string, Map<string, number>>();
  areCallsDone = false;
  closed: Closed | null = null;
  readonly faults: string[] = [];
  calls = 0;
  longestMs = 0;
  /** By flag, of all records. */
  readonly recorded = new Map<string, Sums>();
  readonly #byRequest = new Map<string, Recorded>();
  /** Records that name no request, by their call. */
  readonly #byCall = new Map<string, Recorded>();
  readonly #asked = new Map<string, string>();

  take(message: BillMessage): void {
    switch (message.kind) {
      case "recorded":
        this.#record(message);
        return;
      case "ended": {
        const { call, door, asked, end, tookMs, fault } = message;
        const ends = this.ends.get(door) ?? new Map<string, number>();
        ends.set(end, (ends.get(end) ?? 0) + 1);
        this.ends.set(door, ends);
        this.#asked.set(call, asked);
        this.longestMs = Math.max(this.longestMs, tookMs);
        this.calls += 1;
        if (fault !== null) this.faults.push(`${call} by ${door}: ${fault}`);
        return;
      }
      case "callsDone":
        this.areCallsDone = true;
        return;
      case "closed":
        this.closed = message;
        return;
    }
  }

  #record({ flag, call, request, costNanoUsd, exact, record }: Extract<BillMessage, { kind: "recorded" }>): void {
    const sums = this.recorded.get(flag) ?? { exactNanoUsd: 0, estimatedNanoUsd: 0 };
    sums[exact ? "exactNanoUsd" : "estimatedNanoUsd"] += costNanoUsd;
    this.recorded.set(flag, sums);
    const key = request ?? call;
    if (key === null) {
      this.faults.push(`a record of no call: ${record}`);
      return;
    }
    const of = request === null ? this.#byCall : this.#byRequest;
    const known = of.get(key) ?? { exactNanoUsd: 0, estimatedNanoUsd: 0, records: [] };
    known[exact ? "exactNanoUsd" : "estimatedNanoUsd"] += costNanoUsd;
    known.records.push(record);
    of.set(key, known);
  }

  /** Every request that the endpoint has seen, and every record, once. */
  compare(bills: ReadonlyMap<string, Billed>): Compared {
    const found = new Comparison();
    const rest = new Map<string, Billed[]>();
    for (const [id, billed] of bills) {
      const recorded = this.#byRequest.get(id);
      const asked = this.#asked.get(billed.call) ?? "unknown";
      if (recorded !== undefined) found.look(`${billed.call} ${id}`, [billed], recorded, asked);
      else rest.set(billed.call, [...(rest.get(billed.call) ?? []), billed]);
    }
    for (const call of new Set([...rest.keys(), ...this.#byCall.keys()])) {
      const recorded = this.#byCall.get(call) ?? { exactNanoUsd: 0, estimatedNanoUsd: 0, records: [] };
      found.look(call, rest.get(call) ?? [], recorded, this.#asked.get(call) ?? "unknown");
    }
    for (const [id, { records }] of this.#byRequest) {
      if (!bills.has(id)) found.faults.push(`${id} is recorded, and was never asked: ${records.join(" ")}`);
    }
    return found.of(bills.size);
  }
}

class Comparison implements Omit<Compared, "requests"> {
  readonly faults: string[] = [];
  exactRequests = 0;
  exactBillNanoUsd = 0;
  exactRecordedNanoUsd = 0;
  estimatedBillNanoUsd = 0;
  estimatedRecordedNanoUsd = 0;
  readonly byAnswer = new Map<string, Estimated>();
  readonly byAsked = new Map<string, Estimated>();

  of(requests: number): Compared {
    return Object.assign(this, { requests });
  }

  look(name: string, billed: readonly Billed[], recorded: Recorded, asked: string): void {
    const bill = billed.reduce((sum, { nanoUsd }) => sum + nanoUsd, 0);
    const { exactNanoUsd, estimatedNanoUsd, records } = recorded;
    const cost = exactNanoUsd + estimatedNanoUsd;
    const isExact = estimatedNanoUsd === 0;
    const kinds = [...new Set(billed.map(({ kind }) => kind))];
    if (cost < bill || (isExact && cost !== bill)) {
      const answers = kinds.join(", ") || "nothing";
      this.faults.push(
        `${name}: recorded ${cost}, billed ${bill} nano-USD (asked ${asked}, answered ${answers}): ${records.join(" ")}`,
      );
    }
    if (isExact) {
      this.exactRequests += billed.length;
      this.exactBillNanoUsd += bill;
      this.exactRecordedNanoUsd += cost;
      return;
    }
    this.estimatedBillNanoUsd += bill;
    this.estimatedRecordedNanoUsd += cost;
    const answered = kinds.length > 1 ? "several in one call" : (kinds[0] ?? "never arrived");
    add(this.byAnswer, answered, bill, cost);
    add(this.byAsked, asked, bill, cost);
  }
}

function add(sums: Map<string, Estimated>, kind: string, billNanoUsd: number, recordedNanoUsd: number): void {
  const sum = sums.get(kind) ?? { requests: 0, billNanoUsd: 0, recordedNanoUsd: 0 };
  sum.requests += 1;
  sum.billNanoUsd += billNanoUsd;
  sum.recordedNanoUsd += recordedNanoUsd;
  sums.set(kind, sum);
}
