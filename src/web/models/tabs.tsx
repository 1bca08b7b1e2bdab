/** Models and what they cost: two pages that belong together. */
export type ModelTab = "models" | "prices";

const TABS: readonly [ModelTab, string][] = [
  ["models", "Models"],
  ["prices", "Prices"],
];

export function ModelTabs({ base, tab }: { base: string; tab: ModelTab }) {
  return (
    <nav class="tabs" aria-label="Models and prices">
      {TABS.map(([name, label]) => (
        <a href={`${base}/${name}`} aria-current={name === tab ? "page" : undefined}>
          {label}
        </a>
      ))}
    </nav>
  );
}
