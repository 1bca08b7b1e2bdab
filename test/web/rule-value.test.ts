/** What a rule's form shows always reads back as the value it shows. */
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { formatValue, parseValue } from "../../src/web/flags/rule-value.ts";

const text = fc.string({ maxLength: 40 });
const number = fc.oneof(
  fc.integer(),
  fc.integer({ min: -1_000_000, max: 1_000_000 }).map((n) => n / 100),
);
const scalar = fc.oneof(
  text,
  fc.constantFrom("5", "true", "-0", "1e5", '"quoted"', "a, b", " padded ", "", "\\", '"'),
  number,
  fc.boolean(),
);

it("gives back any single value for operators that take one of any type", () => {
  fc.assert(
    fc.property(scalar, fc.constantFrom("equals", "notEquals", "contains"), (value, operator) => {
      expect(parseValue(operator, formatValue(value))).toEqual(value);
    }),
  );
});

it("gives back any list", () => {
  fc.assert(
    fc.property(fc.array(scalar, { maxLength: 8 }), fc.constantFrom("in", "notIn"), (values, operator) => {
      expect(parseValue(operator, formatValue(values))).toEqual(values);
    }),
  );
});

it("gives back any text for operators that take only text", () => {
  fc.assert(
    fc.property(text, fc.constantFrom("startsWith", "endsWith", "semverEqual"), (value, operator) => {
      expect(parseValue(operator, formatValue(value))).toEqual(value);
    }),
  );
});

it("reads what people type: numbers, yes and no, texts, and quotes around what would be read otherwise", () => {
  expect(parseValue("in", 'free, trial , 5, "5", true, "a, b"')).toEqual(["free", "trial", 5, "5", true, "a, b"]);
  expect(parseValue("lessThan", " 10.5 ")).toBe(10.5);
  expect(parseValue("startsWith", "2024")).toBe("2024");
});
