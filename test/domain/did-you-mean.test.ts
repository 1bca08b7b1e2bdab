import { expect, it } from "vitest";
import { similarName } from "../../src/domain/did-you-mean.ts";

it("finds the name that was meant behind two swapped letters, and none behind another name", () => {
  const known = ["search", "draft-reply", "claude-opus-5-5"];
  expect(["serach", "darft-reply", "claude-opus-5.5"].map((name) => similarName(name, known))).toEqual(known);
  expect(["beach", "drift", "reply", "gpt"].map((name) => similarName(name, known))).toEqual(Array(4).fill(undefined));
});
