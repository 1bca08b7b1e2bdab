/** Incidents, the alerts they sent, what watches, where alerts go, and whose alerts pull the cord here: pages that belong together. */
export type IncidentTab = "incidents" | "alerts" | "watches" | "channels" | "triggers";

const TABS: readonly [IncidentTab, string][] = [
  ["incidents", "Incidents"],
  ["alerts", "Alerts"],
  ["watches", "Watches"],
  ["channels", "Channels"],
  ["triggers", "Triggers"],
];

export function IncidentTabs({ base, tab }: { base: string; tab: IncidentTab }) {
  return (
    <nav class="tabs" aria-label="Incidents, alerts, watches, channels and triggers">
      {TABS.map(([name, label]) => (
        <a href={`${base}/${name}`} aria-current={name === tab ? "page" : undefined}>
          {label}
        </a>
      ))}
    </nav>
  );
}
