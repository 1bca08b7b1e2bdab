/** One flag service under measurement, offline, with the three flags of scenarios.ts loaded. */
import type { Scenario } from "./scenarios.ts";

export interface Contender {
  readonly name: string;
  /** The decision for the user with this index; how the service's users would ask for it. */
  decide(scenario: Scenario, userIndex: number): boolean | Promise<boolean>;
  /**
   * Decides for all users once and returns how many are on. Written out by each contender, so that the measured loop
   * holds nothing but the contender's own call.
   */
  countOn(scenario: Scenario): number | Promise<number>;
  close(): void | Promise<void>;
}
