/** A client of leases as small as can be, for tests of the server: it says what it is told to say, over a real socket. */
import { randomUUID } from "node:crypto";
import {
  type LeaseAnswer,
  LEASES_PATH,
  type LeaseState,
  type LeaseWant,
} from "../../sdk-client/src/wire/lease-protocol.ts";
import { jsonOf } from "./json.ts";
import type { TestServer } from "./server.ts";

export const USD = 1_000_000_000;

export interface Ask {
  requestId?: string;
  instance?: string;
  wants?: (Omit<LeaseWant, "sinceMs"> & { sinceMs?: number })[];
  leases?: LeaseState[];
  /** Seconds. */
  wait?: number;
  signal?: AbortSignal;
}

export interface LeaseAsker {
  ask(ask: Ask): Promise<LeaseAnswer>;
  send(ask: Ask): Promise<Response>;
}

/** Asks this server; `nowMs` is the clock of its clients. */
export function leaseAsker(server: Pick<TestServer, "url">, token: string, nowMs: () => number): LeaseAsker {
  const send = ({ requestId = randomUUID(), instance = "app-1", wants = [], leases = [], wait, signal }: Ask) =>
    fetch(`${server.url}${LEASES_PATH}`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${token}`,
        "content-type": "application/json",
        "andon-sent": String(nowMs()),
        ...(wait !== undefined && { prefer: `wait=${wait}` }),
      },
      body: JSON.stringify({
        requestId,
        instance,
        wants: wants.map((want) => ({ sinceMs: nowMs(), ...want })),
        leases,
      }),
      ...(signal && { signal }),
    });
  return {
    send,
    ask: async (ask) => {
      const response = await send(ask);
      if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
      return jsonOf<LeaseAnswer>(response);
    },
  };
}

/** What a client says of a lease. */
export const said = (leaseId: string, sums: Partial<LeaseState> = {}): LeaseState => ({
  leaseId,
  spentNanoUsd: 0,
  releasedNanoUsd: 0,
  inFlightNanoUsd: 0,
  ...sums,
});
