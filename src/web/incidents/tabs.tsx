/** Incidents, the alerts they sent, what opens some of them by watching, and where alerts go: four pages that belong together. */
export type IncidentTab = "incidents" | "alerts" | "watches" | "channels";

const TABS: readonly [IncidentTab, string][] = [
  ["incidents", "Incidents"],
  ["alerts", "Alerts"],
  ["watches", "Watches"],
  ["channels", "Channels"],
];

export function IncidentTabs({ base, tab }: { base: string; tab: IncidentTab }) {
  return (
    <nav class="tabs" aria-label="Incidents, alerts, watches and channels">
      {TABS.map(([name, label]) => (
        <a href={`${base}/${name}`} aria-current={name === tab ? "page" : undefined}>
          {label}
        </a>
      ))}
    </nav>
  );
}
