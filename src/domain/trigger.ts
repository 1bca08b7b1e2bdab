/**
 * Triggers: alerts of other systems that pull the cord. They only ever tighten: an alert turns flags off or steps them down,
 * its end lifts nothing.
 */

export const TRIGGER_SOURCES = ["alertmanager", "grafana", "datadog", "pagerduty", "generic"] as const;
/** Whose payload is understood. */
export type TriggerSource = (typeof TRIGGER_SOURCES)[number];

export const TRIGGER_ACTIONS = ["kill", "downgrade"] as const;
export type TriggerAction = (typeof TRIGGER_ACTIONS)[number];

export const MAX_TRIGGERS_PER_ENVIRONMENT = 50;
export const MAX_FLAGS_PER_TRIGGER = 100;
/** A month: what should stay longer is killed by a person. */
export const MAX_EXPIRES_MINUTES = 31 * 24 * 60;
/** Alerts in one delivery; those beyond are told of, not acted on. */
export const MAX_ALERTS_PER_DELIVERY = 500;

/** One alert as a delivery tells of it. */
export interface TriggerAlert {
  /** The same as long as it is the same alert. */
  identity: string;
  /**
   * Tells one time that it fires from the next: `""` where the source does not say, and then it is new when the one before
   * has ended.
   */
  episode: string;
  /** When it began, ISO 8601; null where the source does not say. */
  startedAt: string | null;
  /** Null: news that says neither, such as an acknowledgement. */
  state: "firing" | "resolved" | null;
  title: string;
  url: string | null;
  /** The one flag that it is about; null: all of the trigger's. */
  flag: string | null;
}

/** What came of one alert. `repeated`: told of before; nothing is done twice. */
export const TRIGGER_RESULTS = ["acted", "nothing", "repeated", "cleared", "ignored"] as const;
export type TriggerResult = (typeof TRIGGER_RESULTS)[number];

export interface TriggerOutcome {
  alert: string;
  result: TriggerResult;
  text: string;
}

/** What is known of an alert that fired, as far as it decides about the next news of it. */
export interface KnownEpisode {
  episode: string;
  startedAt: Date | null;
  clearedAt: Date | null;
}

/**
 * Whether a firing alert is a new episode. Not: a repeat, a retry that comes after the end, and one that is older than what
 * is known.
 * @param known of the same identity, newest first
 */
export function isNewEpisode(alert: TriggerAlert, known: readonly KnownEpisode[]): boolean {
  if (alert.episode === "") return known[0] === undefined || known[0].clearedAt !== null;
  if (known.some(({ episode }) => episode === alert.episode)) return false;
  if (alert.startedAt === null) return true;
  const startedMs = Date.parse(alert.startedAt);
  return known.every(({ startedAt }) => startedAt === null || startedAt.getTime() < startedMs);
}

const WHOSE: Readonly<Record<TriggerSource, string>> = {
  alertmanager: "Alertmanager",
  grafana: "Grafana",
  datadog: "Datadog",
  pagerduty: "PagerDuty",
  generic: "its sender",
};

/** As people know the source. */
export function sourceName(source: TriggerSource): string {
  return WHOSE[source];
}

/** What the incident notes when the alert has ended. */
export function clearedText(source: TriggerSource): string {
  return `The alert has cleared at ${WHOSE[source]}. Nothing was turned on by that: restore when you are sure.`;
}

/** Who acts by it, as the audit and the flag say it. */
export function triggerActorName(name: string): string {
  return `trigger ${name}`;
}

interface Pulled {
  alert: Pick<TriggerAlert, "title">;
  action: TriggerAction;
  flags: readonly string[];
}

/** The title of the incident of an alert that switched something. */
export function pulledTitle({ alert, action, flags }: Pulled): string {
  const [first = "", ...more] = flags;
  const which = more.length === 0 ? first : `${first} and ${more.length} more`;
  return `${which} ${action === "kill" ? "turned off" : "stepped down"} by alert ${alert.title}`;
}

/** What it did, and how that ends. */
export function pulledText(
  pulled: Pulled & { name: string; source: TriggerSource; faults: readonly string[]; until: Date | null },
): string {
  const { alert, action, flags, name, source, faults, until } = pulled;
  const did = `${alert.title} fires at ${WHOSE[source]}: trigger ${name} ${action === "kill" ? "turned off" : "stepped down"} ${flags.join(", ")}.`;
  const failed = faults.length === 0 ? "" : ` Not possible: ${faults.join("; ")}.`;
  const ends =
    until === null
      ? " It stays until somebody restores."
      : ` It ends by itself at ${until.toISOString().slice(0, 16)}Z.`;
  return `${did}${failed}${ends}`;
}
