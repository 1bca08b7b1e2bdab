/**
 * SIGKILL at any moment: what was acknowledged is there, what was not is whole or absent, and the server always boots
 * again.
 */
import { afterAll, describe, expect, it } from "vitest";
import { startChild, temporaryFolder } from "../support/child-server.ts";
import { freshPostgres } from "../support/database.ts";
import { jsonOf } from "../support/json.ts";
import { ADMIN_TOKEN } from "../support/server.ts";

const ROUND_MS = 120_000;
/** After how many acknowledged changes, and how many milliseconds more, the server is killed. */
const MOMENTS = [
  { acknowledged: 1, thenMs: 0 },
  { acknowledged: 3, thenMs: 2 },
  { acknowledged: 7, thenMs: 7 },
  { acknowledged: 20, thenMs: 4 },
] as const;

interface Change {
  action: string;
  reason: string;
  revision: number;
}

async function call(url: string, method: string, path: string, body?: unknown): Promise<Response> {
  return fetch(`${url}${path}`, {
    method,
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

/** All changes of the master switch, oldest first. */
async function readAudit(url: string): Promise<Change[]> {
  const changes: Change[] = [];
  for (let cursor: string | null = ""; cursor !== null;) {
    const query: string = cursor === "" ? "" : `?cursor=${cursor}`;
    const page: { items: Change[]; nextCursor: string | null } = await jsonOf(
      await call(url, "GET", `/v1/environments/production/audit${query}`),
    );
    changes.push(...page.items.filter(({ action }) => action.startsWith("master.")));
    cursor = page.nextCursor;
  }
  return changes.toReversed();
}

describe.each(["embedded", "postgres"] as const)("a server on %s, killed under changes", (kind) => {
  const folder = temporaryFolder();
  const settings = (async (): Promise<Record<string, string>> => {
    if (kind === "embedded") return { ANDON_DATA_DIR: (await folder).path };
    return { DATABASE_URL: await freshPostgres(), ANDON_SECRET: "a secret for tests only, not for anything else" };
  })();
  const acknowledged: Change[] = [];
  let sent = 0;
  afterAll(async () => (await folder).remove());

  it.each(MOMENTS)(
    "after $acknowledged acknowledged changes and $thenMs ms has them all, and the last one whole or not at all",
    async (moment) => {
      const server = startChild(await settings);
      const url = await server.ready;
      const before = acknowledged.length;
      for (;;) {
        const action = sent % 2 === 0 ? "kill" : "restore";
        const reason = `change ${(sent += 1)}`;
        if (acknowledged.length === before + moment.acknowledged) setTimeout(() => void server.kill(), moment.thenMs);
        try {
          const response = await call(url, "POST", `/v1/environments/production/${action}`, { reason });
          const { revision } = await jsonOf<{ revision: string }>(response);
          acknowledged.push({ action, reason, revision: Number(revision.split(".")[1]) });
        } catch (error) {
          if (!(error instanceof TypeError)) throw error;
          break;
        }
      }
      await server.exited;

      const again = startChild(await settings);
      const newUrl = await again.ready;
      const audit = await readAudit(newUrl);
      expect(audit.map(({ reason }) => reason)).toEqual(
        expect.arrayContaining(acknowledged.map(({ reason }) => reason)),
      );
      for (const { reason, revision } of acknowledged) {
        expect(audit.filter((entry) => entry.reason === reason)).toMatchObject([{ revision }]);
      }
      expect(audit.length - acknowledged.length).toBeLessThanOrEqual(MOMENTS.length);
      expect(audit.map(({ revision }) => revision)).toEqual(audit.map((_, index) => index + 2));
      const environment = await jsonOf<{ revision: string; master: { state: string } }>(
        await call(newUrl, "GET", "/v1/environments/production"),
      );
      expect(Number(environment.revision.split(".")[1])).toBe(audit.length + 1);
      const last = audit.at(-1);
      expect(environment.master.state).toBe(last?.action === "master.killed" ? "off" : "on");
      // The next round begins with whatever really happened.
      sent = environment.master.state === "off" ? sent | 1 : sent + (sent % 2);
      await again.kill();
    },
    ROUND_MS,
  );
});

describe("a very first start on the embedded database, killed", () => {
  it.each([300, 1200, 2500, 4000])(
    "after %i ms leaves a folder that boots",
    async (afterMs) => {
      const folder = await temporaryFolder();
      const first = startChild({ ANDON_DATA_DIR: folder.path });
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      await first.kill();
      const second = startChild({ ANDON_DATA_DIR: folder.path });
      const url = await second.ready;
      expect((await fetch(`${url}/readyz`)).status).toBe(200);
      expect(await readAudit(url)).toEqual([]);
      // A start that was killed after it had told the link was whole.
      expect(first.output() + second.output()).toContain("/sign-in?link=");
      await second.kill();
      await folder.remove();
    },
    ROUND_MS,
  );
});
