/**
 * One measured figure and how it is shown: a JSON object per line for programs, a table for people. The names and the
 * shape are a contract (see README.md): a figure that cannot be measured fails the bench, it is never left out.
 */
export interface Figure {
  name: string;
  unit: string;
  ours: number;
  /** The least that any implementation must pay on this machine, measured in the same run. */
  floor?: number;
  /** Others doing the same work in the same run. */
  peers?: Record<string, number>;
  note?: string;
}

/** Three significant digits, so that no figure pretends to be more exact than it is. */
export function rounded(value: number): number {
  return value === 0 ? 0 : Number(value.toPrecision(3));
}

/** The figure as one line of JSON, its fields in the order of the contract. */
export function toJsonLine(figure: Figure): string {
  const { name, unit, ours, floor, peers, note } = figure;
  return JSON.stringify({
    name,
    unit,
    ours: rounded(ours),
    floor: floor === undefined ? undefined : rounded(floor),
    peers:
      peers === undefined
        ? undefined
        : Object.fromEntries(Object.entries(peers).map(([peer, value]) => [peer, rounded(value)])),
    note,
  });
}

const COLUMNS = ["name", "ours", "floor", "peers"] as const;

/** The figures as a table, notes below it. */
export function toTable(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => [
    figure.name,
    `${rounded(figure.ours)} ${figure.unit}`,
    figure.floor === undefined ? "" : `${rounded(figure.floor)} ${figure.unit}`,
    Object.entries(figure.peers ?? {})
      .map(([peer, value]) => `${peer} ${rounded(value)}`)
      .join(", "),
  ]);
  const widths = COLUMNS.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  const notes = figures.filter((figure) => figure.note !== undefined).map((figure) => `${figure.name}: ${figure.note}`);
  return [line(COLUMNS), ...rows.map(line), ...(notes.length === 0 ? [] : ["", ...notes])].join("\n");
}
