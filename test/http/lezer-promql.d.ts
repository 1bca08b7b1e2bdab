/** Its `exports` name no types: 0.55.1. */
declare module "@prometheus-io/lezer-promql" {
  import type { LRParser } from "@lezer/lr";

  export const parser: LRParser;
}
