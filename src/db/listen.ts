/** NOTIFY carries `<environment id> <revision>` of a change, or a word of its own. A lost one is healed by the version check. */
export const NOTIFY_CHANNEL = "andon_environment";

export interface Listening {
  onNotify: (payload: string) => void;
  /** Called whenever listening began (again): what was notified before is lost. */
  onListening: () => void;
}

export interface Listener {
  close(): Promise<void>;
}

const LEASES_WORD = "leases ";

/** Says that a server should look at who waits for money of a budget, and at who has some idle. */
export const leasesPayload = (budgetId: string): string => `${LEASES_WORD}${budgetId}`;

/** The budget that a payload is about; null for any other. */
export function budgetOfPayload(payload: string): string | null {
  return payload.startsWith(LEASES_WORD) ? payload.slice(LEASES_WORD.length) : null;
}
