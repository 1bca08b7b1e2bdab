import { expect, it } from "vitest";
import { similarName } from "../../src/domain/did-you-mean.ts";

it("finds the name that was meant behind two swapped letters, and none behind another name", () => {
  const known = ["search", "draft-reply", "claude-opus-5-5", "chat"];
  expect(["serach", "darft-reply", "claude-opus-5.5", "chta"].map((name) => similarName(name, known))).toEqual(known);
  expect(["beach", "drift", "reply", "gpt", "tach"].map((name) => similarName(name, known))).toEqual(
    Array(5).fill(undefined),
  );
});
