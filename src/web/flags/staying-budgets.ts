/** What becomes of a flag's budgets when it is deleted. Pure. */
import { listed } from "../text/text.ts";

/** "Its budget Daily stays: it goes on counting calls under this key, and has nothing to turn off." */
export function staying(budgets: readonly { name: string }[]): string {
  const one = budgets.length === 1;
  const names = listed(budgets.map(({ name }) => name));
  return `Its ${one ? "budget" : "budgets"} ${names} ${one ? "stays: it goes" : "stay: they go"} on counting calls under this key, and ${one ? "has" : "have"} nothing to turn off.`;
}
