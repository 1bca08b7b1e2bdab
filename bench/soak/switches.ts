/**
 * The server is killed with SIGKILL while switches are thrown. In the end what was acknowledged is there once, in order,
 * the change that was under way is whole or absent, and the server always boots again.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { OperatorApi } from "../../src/demo/story/operator-api.ts";
import type { ServerProcess } from "../../src/demo/story/server-process.ts";
import { ENVIRONMENT_PATH } from "../support/andon-server.ts";

/** After how many acknowledged changes, and how many milliseconds more, the server is killed. */
export interface Moment {
  acknowledged: number;
  thenMs: number;
}

export interface SwitchesVerdict {
  /** Empty when everything held. */
  faults: string[];
  kills: number;
  acknowledged: number;
}

const changedSchema = z.object({ revision: z.string() });
const auditSchema = z.object({
  items: z.array(z.object({ action: z.string(), reason: z.string().nullable(), revision: z.number().nullable() })),
  nextCursor: z.string().nullable(),
});
const environmentSchema = z.object({ revision: z.string(), master: z.object({ state: z.enum(["on", "off"]) }) });
type Entry = z.infer<typeof auditSchema>["items"][number];

/** The server is not yet started; it is stopped in the end. Rejects when it does not boot. */
export async function killUnderChanges(options: {
  server: ServerProcess;
  moments: readonly Moment[];
  say: (text: string) => void;
  signal?: AbortSignal;
}): Promise<SwitchesVerdict> {
  const { server, moments, say } = options;
  const faults: string[] = [];
  const acknowledged: { reason: string; revision: number }[] = [];
  let isOn = true;
  let sent = 0;
  await server.start();
  try {
    for (const [kill, moment] of moments.entries()) {
      options.signal?.throwIfAborted();
      const before = acknowledged.length;
      let killed: Promise<void> | null = null;
      for (;;) {
        const reason = `change ${(sent += 1)}`;
        if (acknowledged.length === before + moment.acknowledged) {
          killed = sleep(moment.thenMs).then(() => server.killWithoutWarning());
        }
        const revision = await change(server, isOn ? "kill" : "restore", reason);
        if (revision === null) break;
        acknowledged.push({ reason, revision });
        isOn = !isOn;
      }
      if (killed === null) throw new Error(`the server went away by itself after ${acknowledged.length} changes`);
      await killed;
      await server.start();
      const found = await faultsOf(server, acknowledged, kill + 1);
      faults.push(...found.faults);
      // The next life begins with whatever really happened.
      isOn = found.isOn;
      say(`  kill ${kill + 1} of ${moments.length}: ${acknowledged.length} changes acknowledged`);
    }
  } finally {
    await server.stop();
  }
  return { faults, kills: moments.length, acknowledged: acknowledged.length };
}

/** The number of the revision that it made; null when the server went away. */
async function change(server: ServerProcess, action: "kill" | "restore", reason: string): Promise<number | null> {
  const headers = { Authorization: `Bearer ${server.adminToken}`, "Content-Type": "application/json" };
  try {
    const response = await fetch(`${server.url}${ENVIRONMENT_PATH}/${action}`, {
      method: "POST",
      headers,
      body: JSON.stringify({ reason }),
    });
    if (!response.ok) throw new Error(`${action} was answered ${response.status}: ${await response.text()}`);
    return numberOf(changedSchema.parse(await response.json()).revision);
  } catch (error) {
    // What fetch, and a body that ends halfway, reject with.
    if (error instanceof TypeError) return null;
    throw error;
  }
}

async function faultsOf(
  server: ServerProcess,
  acknowledged: readonly { reason: string; revision: number }[],
  kills: number,
): Promise<{ faults: string[]; isOn: boolean }> {
  const api = new OperatorApi(server.url, server.adminToken);
  const audit = await changesIn(api);
  const environment = await api.call("GET", ENVIRONMENT_PATH, null, environmentSchema);
  const faults: string[] = [];
  for (const { reason, revision } of acknowledged) {
    const entries = audit.filter((entry) => entry.reason === reason);
    if (entries.length !== 1 || entries[0]?.revision !== revision) {
      faults.push(`${reason} was acknowledged as ${revision}; the audit has ${JSON.stringify(entries)}`);
    }
  }
  if (audit.length - acknowledged.length > kills) {
    faults.push(`${audit.length} changes are in the audit, ${acknowledged.length} were acknowledged in ${kills} lives`);
  }
  // Revision 1 is the environment's own.
  if (audit.some(({ revision }, index) => revision !== index + 2)) faults.push("the revisions of the audit have a gap");
  if (numberOf(environment.revision) !== audit.length + 1) faults.push(`the revision is ${environment.revision}`);
  const last = audit.at(-1)?.action === "master.killed" ? "off" : "on";
  if (environment.master.state !== last)
    faults.push(`the switch is ${environment.master.state}, the audit says ${last}`);
  return { faults, isOn: environment.master.state === "on" };
}

/** All changes of the master switch, oldest first. */
async function changesIn(api: OperatorApi): Promise<Entry[]> {
  const changes: Entry[] = [];
  for (let cursor: string | null = ""; cursor !== null;) {
    const query: string = cursor === "" ? "" : `?cursor=${cursor}`;
    const page: z.infer<typeof auditSchema> = await api.call(
      "GET",
      `${ENVIRONMENT_PATH}/audit${query}`,
      null,
      auditSchema,
    );
    changes.push(...page.items.filter(({ action }) => action.startsWith("master.")));
    cursor = page.nextCursor;
  }
  return changes.toReversed();
}

function numberOf(revision: string): number {
  return Number(revision.split(".")[1]);
}

/** Kills a very first start, and starts again on what it left. What did not hold; rejects when it does not boot. */
export async function killFirstStart(server: ServerProcess, afterMs: number): Promise<string[]> {
  const first = server.start().then(
    () => null,
    () => null,
  );
  await sleep(afterMs);
  await server.killWithoutWarning();
  await first;
  // A start that was killed after it had told the link was whole.
  const told = server.signInLink;
  try {
    await server.start();
    const faults = [];
    if ((await changesIn(new OperatorApi(server.url, server.adminToken))).length > 0) faults.push("it has a history");
    if (told === null && server.signInLink === null) faults.push("no start told a sign-in link");
    return faults;
  } finally {
    await server.stop();
  }
}
