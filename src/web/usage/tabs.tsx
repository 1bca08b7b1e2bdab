/** What was used, and whether Claude's bill agrees: two pages that belong together. */
export type UsageTab = "usage" | "reconciliation";

const TABS: readonly [UsageTab, string][] = [
  ["usage", "Usage"],
  ["reconciliation", "Claude's bill"],
];

export function UsageTabs({ base, tab }: { base: string; tab: UsageTab }) {
  return (
    <nav class="tabs" aria-label="Usage and Claude's bill">
      {TABS.map(([name, label]) => (
        <a href={`${base}/${name}`} aria-current={name === tab ? "page" : undefined}>
          {label}
        </a>
      ))}
    </nav>
  );
}
