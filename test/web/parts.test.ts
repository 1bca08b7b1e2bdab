/** An open board is sent what changed and nothing twice, whatever it shows. */
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { type Due, type Part, PartVersions, Place } from "../../src/web/board/parts.ts";

const ALL: Due = { figures: true, chart: true };
const NONE: Due = { figures: false, chart: false };

const place = (id: string) => String(Place({ id }));
const element = (id: string, inner: string) => `<p id="${id}">${inner}</p>`;
const leaf = (id: string, text: string, pace?: "figures" | "chart"): Part => ({
  id,
  html: element(id, text),
  children: [],
  ...(pace && { pace }),
});
const row = (id: string, state: string, spent: string, line = ""): Part => ({
  id,
  html: element(id, `${state}${place(`spend-${id}`)}${place(`chart-${id}`)}`),
  children: [leaf(`spend-${id}`, spent, "figures"), leaf(`chart-${id}`, line, "chart")],
});
const page = (...rows: Part[]): Part => ({
  id: "list",
  html: element("list", rows.map(({ id }) => place(id)).join("")),
  children: rows,
  identity: rows
    .map(({ id }) => id)
    .toSorted()
    .join(" "),
});

it("sends the outermost part that changed, once, with what stands in it", () => {
  const versions = new PartVersions();
  versions.take(page(row("a", "on", "$1"), row("b", "on", "$1")), ALL);
  const shown = versions.version;
  versions.take(page(row("a", "off", "$2"), row("b", "on", "$2")), ALL);
  expect(versions.since(shown)).toBe(
    element("a", `off${element("spend-a", "$2")}${element("chart-a", "")}`) + element("spend-b", "$2"),
  );
  expect(versions.since(versions.version)).toBe("");
  expect(versions.since(0)).toBe(versions.whole());
});

it("holds figures back until their time, except in a row that is sent anyway", () => {
  const versions = new PartVersions();
  versions.take(page(row("a", "on", "$1"), row("b", "on", "$1")), ALL);
  expect(versions.take(page(row("a", "on", "$2"), row("b", "on", "$2")), NONE)).toBe(false);
  expect(versions.whole()).toContain("$1");
  const shown = versions.version;
  expect(versions.take(page(row("a", "off", "$3"), row("b", "on", "$3")), NONE)).toBe(true);
  expect(versions.since(shown)).toBe(element("a", `off${element("spend-a", "$3")}${element("chart-a", "")}`));
});

it("does not send another order of the same rows, but gives it to who opens the page", () => {
  const versions = new PartVersions();
  versions.take(page(row("a", "on", ""), row("b", "on", "")), ALL);
  const shown = versions.version;
  expect(versions.take(page(row("b", "on", ""), row("a", "on", "")), ALL)).toBe(false);
  expect(versions.since(shown)).toBe("");
  expect(versions.whole().indexOf('id="b"')).toBeLessThan(versions.whole().indexOf('id="a"'));
  expect(versions.take(page(row("b", "on", "")), ALL)).toBe(true);
  expect(versions.since(shown)).toBe(versions.whole());
});

it("brings every board to the same page, from whichever version it shows and by whichever steps", () => {
  const state = fc.record({
    rows: fc.uniqueArray(fc.constantFrom("a", "b", "c"), { minLength: 1 }),
    texts: fc.tuple(fc.constantFrom("on", "off"), fc.constantFrom("$1", "$2"), fc.constantFrom("-", "=")),
    due: fc.record({ figures: fc.boolean(), chart: fc.boolean() }),
    looks: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(state, { minLength: 1, maxLength: 12 }), (steps) => {
      const versions = new PartVersions();
      let board = { at: 0, parts: new Map<string, string>() };
      for (const { rows, texts, due, looks } of steps) {
        versions.take(page(...rows.toSorted().map((id) => row(id, ...texts))), due);
        if (!looks) continue;
        board = { at: versions.version, parts: applied(board.parts, versions.since(board.at)) };
        expect(textOf(board.parts, "list")).toBe(versions.whole());
      }
    }),
  );
});

/** As the page's script does: each part takes the place of the one with its id. */
function applied(parts: ReadonlyMap<string, string>, html: string): Map<string, string> {
  const next = new Map(parts);
  const split = (text: string): string =>
    text.replace(/<p id="([^"]*)">((?:(?!<p |<\/p>)[\s\S])*)<\/p>/g, (_, id: string, inner: string) => {
      next.set(id, inner);
      return `{${id}}`;
    });
  let text = html;
  for (let before = ""; before !== text;) {
    before = text;
    text = split(text);
  }
  return next;
}

function textOf(parts: ReadonlyMap<string, string>, id: string): string {
  const inner = parts.get(id) ?? "";
  return element(
    id,
    inner.replaceAll(/\{([^}]*)\}/g, (_, child: string) => textOf(parts, child)),
  );
}
