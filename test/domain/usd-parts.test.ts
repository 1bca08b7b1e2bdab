/** Figures of a table that add up to the figure above it. */
import { array, assert, bigInt, property } from "fast-check";
import { expect, it } from "vitest";
import { usd } from "../../src/domain/alert-text.ts";
import { usdParts } from "../../src/domain/usd-parts.ts";

const centsOf = (text: string) => (text.startsWith("<") ? 0 : Number(text.replaceAll(/[$,.]/g, "")));

it("the parts of a sum add up to it to the cent, none is a cent off, and what is something is not shown as nothing", () => {
  expect(usdParts([4_000_000n, 4_000_000n, 4_000_000n])).toEqual(["$0.01", "$0.01", "< $0.01"]);
  expect(usdParts([])).toEqual([]);
  const part = bigInt({ min: 0n, max: 3_000_000_000_000n });
  assert(
    property(array(part, { maxLength: 60 }), (parts) => {
      const shown = usdParts(parts);
      const sum = parts.reduce((all, each) => all + each, 0n);
      expect(shown.reduce((all, text) => all + centsOf(text), 0)).toBe(centsOf(usd(Number(sum))));
      for (const [at, each] of parts.entries()) {
        expect(Math.abs(centsOf(shown[at] ?? "") - Number(each) / 1e7)).toBeLessThan(1);
        if (each > 0n) expect(shown[at]).not.toBe("$0.00");
      }
    }),
  );
});
