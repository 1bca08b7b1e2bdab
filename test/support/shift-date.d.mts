export function shiftDate(byMs: number): void;
/** By how much this run is moved, in milliseconds; 0 on an ordinary one. */
export const shiftMs: number;
