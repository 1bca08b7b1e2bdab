/**
 * Reads a request for leases, by hand: calls wait for it. INVALID with the path of each fault, of the whole: nothing may be
 * taken for said of a message that is not understood.
 */
import { isObject } from "../../../sdk-client/src/wire/json.ts";
import {
  type LeaseRequest,
  type LeaseState,
  type LeaseWant,
  MAX_LEASE_NANO_USD,
  MAX_LEASES_PER_REQUEST,
  MAX_WANTS_PER_REQUEST,
} from "../../../sdk-client/src/wire/lease-protocol.ts";
import { RECORD_FIELDS } from "../../../sdk-client/src/wire/usage-protocol.ts";
import { AppError, type Fault } from "../../errors.ts";
import { idFault, wholeFault } from "./usage-record.ts";

type Fields = Readonly<Record<string, unknown>>;

export function parseLeaseRequest(body: unknown): LeaseRequest {
  const reader = new Reader();
  const fields = reader.object(body, "");
  const wants = reader.list(fields["wants"], "wants", MAX_WANTS_PER_REQUEST);
  const leases = reader.list(fields["leases"], "leases", MAX_LEASES_PER_REQUEST);
  const request = {
    requestId: reader.id(fields["requestId"], "requestId"),
    instance: reader.id(fields["instance"], "instance"),
    wants: wants.map((want, index) => wantOf(reader, want, `wants.${index}`)),
    leases: leases.map((lease, index) => stateOf(reader, lease, `leases.${index}`)),
  };
  reader.unique(
    request.wants.map(({ budgetId }) => budgetId),
    "wants",
    "budgetId",
  );
  reader.unique(
    request.leases.map(({ leaseId }) => leaseId),
    "leases",
    "leaseId",
  );
  if (reader.faults.length > 0) {
    const words = reader.faults.map(({ path, message }) => `${path}: ${message}`).join("; ");
    throw new AppError("INVALID", words, { faults: reader.faults });
  }
  return request;
}

function wantOf(reader: Reader, value: unknown, path: string): LeaseWant {
  const fields = reader.object(value, path);
  const nanoUsd = reader.whole(fields["nanoUsd"], `${path}.nanoUsd`, 1, MAX_LEASE_NANO_USD);
  const atLeast = fields["atLeastNanoUsd"];
  return {
    budgetId: reader.id(fields["budgetId"], `${path}.budgetId`),
    nanoUsd,
    ...(atLeast !== undefined && {
      atLeastNanoUsd: reader.whole(atLeast, `${path}.atLeastNanoUsd`, 0, nanoUsd),
    }),
    sinceMs: Math.round(reader.time(fields["sinceMs"], `${path}.sinceMs`)),
  };
}

function stateOf(reader: Reader, value: unknown, path: string): LeaseState {
  const fields = reader.object(value, path);
  const sum = (name: string) => reader.whole(fields[name], `${path}.${name}`, 0, MAX_LEASE_NANO_USD);
  return {
    leaseId: reader.id(fields["leaseId"], `${path}.leaseId`),
    spentNanoUsd: sum("spentNanoUsd"),
    releasedNanoUsd: sum("releasedNanoUsd"),
    inFlightNanoUsd: sum("inFlightNanoUsd"),
  };
}

/** Reads values and notes what is wrong with them; what it answers for a faulty one is never used. */
class Reader {
  readonly faults: Fault[] = [];

  object(value: unknown, path: string): Fields {
    if (isObject(value)) return value;
    this.faults.push({ path, message: "must be an object" });
    return {};
  }

  list(value: unknown, path: string, max: number): readonly unknown[] {
    if (value === undefined) return [];
    if (Array.isArray(value) && value.length <= max) return value;
    this.faults.push({ path, message: `must be a list of at most ${max}` });
    return [];
  }

  id(value: unknown, path: string): string {
    const fault = idFault(value, path);
    if (fault !== null) this.faults.push(fault);
    return typeof value === "string" ? value : "";
  }

  whole(value: unknown, path: string, min: number, max: number): number {
    const fault = wholeFault(value, path, min, max);
    if (fault !== null) this.faults.push(fault);
    return typeof value === "number" ? value : min;
  }

  time(value: unknown, path: string): number {
    const { min, max } = RECORD_FIELDS.at;
    if (typeof value === "number" && value >= min && value <= max) return value;
    this.faults.push({ path, message: "must be a Unix time in milliseconds" });
    return min;
  }

  unique(values: readonly string[], list: string, field: string): void {
    const seen = new Set<string>();
    for (const [index, value] of values.entries()) {
      if (seen.has(value)) this.faults.push({ path: `${list}.${index}.${field}`, message: "is in this list before" });
      seen.add(value);
    }
  }
}
