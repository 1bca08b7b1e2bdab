/** The answer to a commit is lost: whoever asked is told that the change may or may not have been made, and may repeat it. */
import postgres from "postgres";
import { describe, expect, it } from "vitest";
import { freshPostgres } from "../support/database.ts";
import { type Loss, startDatabaseProxy } from "../support/database-proxy.ts";
import { startPolling } from "../support/poll-loop.ts";
import { makeToken, startTestServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { expectProblem } from "../http/problem-shape.ts";

const KILL_PATH = "/v1/environments/production/flags/chat/kill";

describe.each<Loss>(["cut", "stall"])("a kill whose commit is answered by a connection that is lost (%s)", (loss) => {
  it("is told as unknown, not as not made; it was made, clients get it, and repeating it is safe", async () => {
    const url = await freshPostgres();
    const proxy = await startDatabaseProxy(url);
    const server = await startTestServer({ database: { kind: "postgres", url: proxy.url } });
    const admin = postgres(url, { max: 1 });
    await server.api("POST", "/v1/environments/production/flags", { key: "chat", name: "Chat" });
    const token = await makeToken(server.deps, { kind: "sdk" });
    const client = startPolling({ url: () => server.url, token, instance: "i-1" });
    await until("the client has the flag", () => client.current()?.flags["chat"]?.state === "on");

    proxy.loseNextCommit(loss);
    const problem = await expectProblem(server.api("POST", KILL_PATH, { reason: "burning" }), 503);
    expect(proxy.lost).toBe(1);
    expect(problem.code).toBe("DATABASE_AWAY");
    expect(problem.detail).toContain("may or may not have been made");
    expect(problem.detail).toContain("a kill can be repeated safely");
    expect(problem.detail).not.toContain("so this change was not made");
    expect(problem.detail).toContain("ANDON_KILL=*");

    expect(await admin`select state from flags`).toEqual([{ state: "off" }]);
    await until("the client follows", () => client.current()?.flags["chat"]?.state === "off");
    const again = await server.api("POST", KILL_PATH, { reason: "burning" });
    expect(again.status).toBe(200);
    expect(await admin`select count(*)::int as n from audit where action = 'flag.killed' and before <> after`).toEqual([
      { n: 1 },
    ]);
    await client.stop();
    await server.close();
    await admin.end();
    await proxy.close();
  });
});
