/** Watches as a page says them. Pure. */
import { duration } from "../../domain/watch-text.ts";
import { MIN_BAD, type WatchKind, type WatchSetting } from "../../domain/watch.ts";

interface Words {
  name: string;
  /** What it tells of. */
  about: string;
  limitLabel: string;
  minimumLabel: string;
  minimumHint: string;
}

export const WATCH_WORDS: Readonly<Record<WatchKind, Words>> = {
  burn: {
    name: "Burn above the usual",
    about:
      "A flag spends so many times what it usually does at that hour of that weekday: the median of up to 8 weeks; of a younger flag of that hour of the days, or the mean of the hours, that there are.",
    limitLabel: "Times its usual",
    minimumLabel: "Never below, USD an hour",
    minimumHint: "A multiple of little is little: below this it tells nobody.",
  },
  largeCall: {
    name: "A large call",
    about:
      "One call uses so many times the tokens that the flag's calls of the last 7 days did on average, and more than any of them.",
    limitLabel: "Times the mean",
    minimumLabel: "Calls that the mean needs",
    minimumHint: "A mean of fewer calls is not one yet.",
  },
  cut: {
    name: "Answers cut short",
    about: "So large a share of the answers of an hour, and of its last quarter, is cut by max_tokens.",
    limitLabel: "Percent of answers",
    minimumLabel: "Answers in the hour",
    minimumHint: `With fewer it tells nobody, nor of fewer than ${MIN_BAD} that were cut.`,
  },
  errors: {
    name: "Failing attempts",
    about:
      "So large a share of the attempts of an hour, and of its last quarter, fails: also of those that a retry mended, which nobody else would notice.",
    limitLabel: "Percent of attempts",
    minimumLabel: "Attempts in the hour",
    minimumHint: `With fewer it tells nobody, nor of fewer than ${MIN_BAD} that failed.`,
  },
  latency: {
    name: "Slow calls",
    about: "p95 of the attempts of an hour, and of its last quarter, is over this limit.",
    limitLabel: "Limit of p95",
    minimumLabel: "Attempts in the hour",
    minimumHint: `With fewer it tells nobody, nor of fewer than ${MIN_BAD} that were slow.`,
  },
};

/** "from 4 times its usual and 5 USD an hour on". */
export function settingWords(kind: WatchKind, { enabled, limit, minimum }: WatchSetting): string {
  if (!enabled) return "off";
  switch (kind) {
    case "burn":
      return `from ${limit} times its usual and $${minimum} an hour on`;
    case "largeCall":
      return `above ${limit} times the mean of at least ${minimum} calls`;
    case "cut":
      return `above ${limit} % of at least ${minimum} answers an hour`;
    case "errors":
      return `above ${limit} % of at least ${minimum} attempts an hour`;
    case "latency":
      return `p95 above ${duration(limit)}, of at least ${minimum} attempts an hour`;
  }
}
