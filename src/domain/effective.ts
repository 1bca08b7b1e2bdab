/** What a flag comes to after master switch, trips, blocks, level and chain, as the API and the board show it. */
export interface EffectiveResource {
  state: "on" | "downgraded" | "ramping" | "off";
  reason: "ON" | "MASTER" | "KILLED" | "TRIPPED" | "NO_MODEL";
  /** The first usable model; null without a chain and when off. */
  model: string | null;
  models: string[];
  /** The effective step: where in its chain calls start now; null when off. */
  step: number | null;
  /** Models of its chain that are blocked. */
  blocked: string[];
}
