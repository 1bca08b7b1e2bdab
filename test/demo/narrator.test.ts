/** The demo's verdict: a claim that does not hold is shown with what was seen instead, and is counted. */
import { expect, test } from "vitest";
import { duration, Narrator } from "../../src/demo/story/narrator.ts";

function narrated(): { narrator: Narrator; text: () => string } {
  const lines: string[] = [];
  return { narrator: new Narrator((line) => lines.push(line)), text: () => lines.join("\n") };
}

test("claims that hold leave no failure, and the conclusion counts them", () => {
  const { narrator, text } = narrated();
  narrator.claim("the sky is up", true, "it fell");
  narrator.claim("the floor is down", true, "it rose");
  narrator.conclude();
  expect(narrator.failures).toEqual([]);
  expect(text()).toContain("All 2 claims held.");
  expect(text()).not.toContain("it fell");
});

test("a claim that does not hold says what was seen instead, and is a failure", () => {
  const { narrator, text } = narrated();
  narrator.claim("nothing arrived", false, "3 calls arrived");
  narrator.claim("the sky is up", true, "it fell");
  narrator.conclude();
  expect(narrator.failures).toEqual(["nothing arrived — 3 calls arrived"]);
  expect(text()).toContain("instead: 3 calls arrived");
  expect(text()).toContain("1 of 2 claims did not hold");
  expect(text()).not.toContain("All 2 claims held");
});

test("figures make a table with aligned values", () => {
  const { narrator, text } = narrated();
  narrator.figure("short", "1 ms");
  narrator.figure("much longer", "2 ms");
  narrator.conclude();
  expect(text()).toContain("  short        1 ms\n  much longer  2 ms");
});

test("durations are short and in a fitting unit", () => {
  expect([duration(0.4), duration(83.6), duration(2345)]).toEqual(["0 ms", "84 ms", "2.3 s"]);
});
