/**
 * Where the words in a chart stand. Pure. Invariant: no two of them overlap and none leaves the frame; a word for which
 * there is no room is left out, as the chart's description has them all.
 */

export interface Frame {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

export interface Spot {
  /** Where the text is anchored; `y` is its baseline. */
  x: number;
  y: number;
  anchor: "start" | "end";
}

/** In pixels, of the widest letters at the charts' 12 px: a box too large only costs room. */
const CHAR_WIDTH = 7.2;
const ASCENT = 11;
const DESCENT = 3;
const DOT_GAP = 10;
/** From a mark to the baseline of its word, nearest first: below, above, further below… */
const OFFSETS = [18, -10, 34, -26, 50, -42, 66, -58, 82, -74] as const;

/** For each level its spot above its line, at the right end or at the left; null: no room. In the order given. */
export function placeLevels(levels: readonly { y: number; label: string }[], frame: Frame): (Spot | null)[] {
  const taken: Frame[] = [];
  return levels.map(({ y, label }) =>
    take(
      [
        { x: frame.right, y: y - 4, anchor: "end" },
        { x: frame.left + 4, y: y - 4, anchor: "start" },
      ],
      label,
      taken,
      frame,
    ),
  );
}

/** For each mark its spot beside or near its dot, clear of the words that stand already; null: no room. */
export function placeMarks(
  marks: readonly { x: number; y: number; label: string }[],
  levels: readonly { label: string; spot: Spot | null }[],
  frame: Frame,
): (Spot | null)[] {
  const taken = levels.flatMap(({ label, spot }) => (spot === null ? [] : [boxOf(spot, label)]));
  const middle = (frame.left + frame.right) / 2;
  return marks.map(({ x, y, label }) => {
    const right: Spot = { x: x + DOT_GAP, y, anchor: "start" };
    const left: Spot = { x: x - DOT_GAP, y, anchor: "end" };
    // A long word in a narrow chart fits on neither side.
    const atEdge: Spot = { x: frame.right, y, anchor: "end" };
    const sides = x > middle ? [left, right, atEdge] : [right, left, atEdge];
    const spots = OFFSETS.flatMap((offset) => sides.map((side) => ({ ...side, y: side.y + offset })));
    return take(spots, label, taken, frame);
  });
}

/** The first spot that is free, taken from now on. */
function take(spots: readonly Spot[], label: string, taken: Frame[], frame: Frame): Spot | null {
  for (const spot of spots) {
    const box = boxOf(spot, label);
    const isInside =
      box.left >= frame.left && box.right <= frame.right && box.top >= frame.top && box.bottom <= frame.bottom;
    if (!isInside || taken.some((other) => overlap(box, other))) continue;
    taken.push(box);
    return spot;
  }
  return null;
}

/** The room that a word takes. */
export function boxOf({ x, y, anchor }: Spot, label: string): Frame {
  const width = label.length * CHAR_WIDTH;
  const left = anchor === "start" ? x : x - width;
  return { left, right: left + width, top: y - ASCENT, bottom: y + DESCENT };
}

export function overlap(a: Frame, b: Frame): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}
