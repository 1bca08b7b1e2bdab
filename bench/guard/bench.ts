/**
 * `guard.overhead`: CPU microseconds that the guard adds to one call of the SDK. The network is a stub that answers at once,
 * so that the difference is the guard and nothing else; guarded and bare calls alternate in short batches.
 */
import Anthropic from "@anthropic-ai/sdk";
import { Andon } from "andon-client";
import { guard } from "andon-client/anthropic";
import { by, type Effort } from "../support/effort.ts";
import type { Figure } from "../support/figure.ts";
import { SILENT } from "../support/silent-logger.ts";
import { quantile } from "../support/statistics.ts";
import { alternate, FLAG, REQUEST, SETTINGS, snapshotAt } from "./world.ts";

/** A logger to which each call is told. */
const TOLD = { ...SILENT, isLevelEnabled: () => true };

export async function benchGuardOverhead(effort: Effort): Promise<Figure> {
  const hosts = [
    new Andon({ bootstrap: snapshotAt(0), logger: SILENT }),
    new Andon({ bootstrap: snapshotAt(1), logger: SILENT }),
    new Andon({ bootstrap: snapshotAt(0), logger: TOLD }),
  ];
  const clients = [
    new Anthropic(SETTINGS),
    ...hosts.map((host) => new Anthropic({ ...SETTINGS, middleware: [guard(host, { flag: FLAG })] })),
    new Anthropic({ ...SETTINGS, middleware: [(request, next) => next(request)] }),
  ];
  try {
    for (const host of hosts) await host.ready({ timeoutMs: 1000 });
    const samples = await alternate(clients, by(effort, 60, 1), by(effort, 400, 2));
    const at = (q: number): number[] => samples.map((each) => quantile(each, q));
    const [bare = NaN, guarded = NaN, downgraded = NaN, told = NaN, middleware = NaN] = at(0.5);
    const [quietBare = NaN, quietGuarded = NaN, quietDowngraded = NaN] = at(0.1);
    const quiet = (of: number): string => ((of - quietBare) / quietBare).toFixed(2);
    const share = (of: number): string => `${(of - bare).toFixed(1)} µs (${((of - bare) / bare).toFixed(2)})`;
    return {
      name: "guard.overhead",
      unit: "µs",
      ours: guarded - bare,
      floor: middleware - bare,
      note:
        `CPU time per call over ${bare.toFixed(0)} µs of the bare SDK (${((guarded - bare) / bare).toFixed(2)} of it), on Opus, ` +
        `body of ${JSON.stringify(REQUEST).length} bytes; floor: middleware that does nothing; downgraded ${share(downgraded)}; ` +
        `at the tenth percentile, which other work on the machine disturbs less, ${quiet(quietGuarded)} and ${quiet(quietDowngraded)}; ` +
        `with a logger that takes the line of each call, which the default one does not: ${share(told)}`,
    };
  } finally {
    for (const host of hosts) await host.close();
  }
}
