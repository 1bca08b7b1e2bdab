/** Incidents, the alerts they sent, and where alerts go: three pages that belong together. */
export type IncidentTab = "incidents" | "alerts" | "channels";

const TABS: readonly [IncidentTab, string][] = [
  ["incidents", "Incidents"],
  ["alerts", "Alerts"],
  ["channels", "Channels"],
];

export function IncidentTabs({ base, tab }: { base: string; tab: IncidentTab }) {
  return (
    <nav class="tabs" aria-label="Incidents, alerts and channels">
      {TABS.map(([name, label]) => (
        <a href={`${base}/${name}`} aria-current={name === tab ? "page" : undefined}>
          {label}
        </a>
      ))}
    </nav>
  );
}
