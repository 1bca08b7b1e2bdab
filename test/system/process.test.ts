/** The server's process: how it starts, refuses to start, and stops. */
import { createServer } from "node:http";
import { afterAll, describe, expect, it } from "vitest";
import { type ChildServer, startChild, temporaryFolder } from "../support/child-server.ts";
import { databaseEnv } from "../support/database.ts";
import { jsonOf } from "../support/json.ts";
import { ADMIN_TOKEN } from "../support/server.ts";
import { until } from "../support/until.ts";

const SLOW_MS = 120_000;

const warningsOf = (output: string) => output.split("\n").filter((line) => line.includes("Set ANDON_PUBLIC_URL"));

describe("a server on the embedded database", () => {
  const folder = temporaryFolder();
  let server: ChildServer;
  let url: string;
  afterAll(async () => {
    await server.kill();
    await (await folder).remove();
  });

  it(
    "says what it is at, then the board's address, and last a sign-in link on a line of its own, kept out of its log",
    async () => {
      server = startChild({ ANDON_DATA_DIR: (await folder).path });
      url = await server.ready;
      await until("all is said", () => /\/sign-in\?link=\S+\n/.test(server.output()));
      const lines = server.output().trimEnd().split("\n");
      const said = lines.filter((line) => !line.startsWith("{"));
      const order = [
        "is starting",
        "Making the embedded database",
        "tables up to date",
        "Listening on",
        `Board: ${url}`,
        "Sign in",
      ];
      const places = order.map((words) => said.findIndex((line) => line.includes(words)));
      expect(places).toEqual(places.toSorted((a, b) => a - b));
      expect(places).not.toContain(-1);
      const [, link = ""] = new RegExp(`^${url}/sign-in\\?link=([\\w-]{32})$`).exec(said.at(-1) ?? "") ?? [];
      expect(link).not.toBe("");
      const logged = lines.filter((line) => line.startsWith("{"));
      expect(logged.join()).not.toContain(link);
      expect(logged.join()).not.toContain(ADMIN_TOKEN);
    },
    SLOW_MS,
  );

  it(
    "refuses a second process on its folder, naming the folder and what to do",
    async () => {
      const { path } = await folder;
      const second = startChild({ ANDON_DATA_DIR: path });
      expect(await second.exited).toEqual({ code: 1, signal: null });
      expect(second.output()).toContain(path);
      expect(second.output()).toContain("ANDON_DATA_DIR");
      expect((await fetch(`${url}/readyz`)).status).toBe(200);
    },
    SLOW_MS,
  );

  it(
    "answers its parked polls and exits 0 on SIGTERM",
    async () => {
      const made = await fetch(`${url}/v1/tokens`, {
        method: "POST",
        headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" },
        body: JSON.stringify({ kind: "sdk", name: "test", environments: ["production"] }),
      });
      expect(made.status).toBe(201);
      const { secret } = await jsonOf<{ secret: string }>(made);
      const authorization = `Bearer ${secret}`;
      const first = await fetch(`${url}/sdk/v1/snapshot`, { headers: { authorization } });
      const etag = first.headers.get("etag") ?? "";
      await first.arrayBuffer();
      const parked = fetch(`${url}/sdk/v1/snapshot`, {
        headers: { authorization, "if-none-match": etag, prefer: "wait=25" },
      });
      // The next answer on the same server says that the poll before it was taken.
      await (await fetch(`${url}/healthz`)).arrayBuffer();
      server.process.kill("SIGTERM");
      expect((await parked).status).toBe(304);
      expect(await server.exited).toEqual({ code: 0, signal: null });
    },
    SLOW_MS,
  );
});

describe("a server that listens beyond this machine", () => {
  it(
    "warns, on its output and in its log, that links lead nowhere until ANDON_PUBLIC_URL is set",
    async () => {
      const server = startChild({ ...(await databaseEnv("postgres")), HOST: "0.0.0.0" });
      try {
        await server.ready;
        await until("both are said", () => warningsOf(server.output()).length === 2);
        // Output and log are two pipes: which is read first is chance.
        const warnings = warningsOf(server.output());
        expect(warnings.filter((line) => line.includes('"level":40'))).toHaveLength(1);
        expect(warnings.filter((line) => line.includes("Warning: HOST 0.0.0.0"))).toHaveLength(1);
      } finally {
        await server.kill();
      }
    },
    SLOW_MS,
  );
});

describe("a server that cannot start", () => {
  it("names every faulty variable and no secret", async () => {
    const server = startChild({ PORT: "x", ANDON_SECRET: "hunter2", ANDON_LOG_LEVEL: "loud" });
    expect(await server.exited).toEqual({ code: 1, signal: null });
    expect(server.output()).toContain("PORT: expected a port number");
    expect(server.output()).toContain("ANDON_SECRET: expected at least 32 characters");
    expect(server.output()).toContain("ANDON_LOG_LEVEL: expected one of");
    expect(server.output()).not.toContain("hunter2");
  });

  it(
    "says that its port is taken, and what to do",
    async () => {
      const other = createServer();
      await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
      const address = other.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      const server = startChild({
        PORT: String(port),
        ...(await databaseEnv("postgres")),
      });
      expect(await server.exited).toEqual({ code: 1, signal: null });
      expect(server.output()).toContain(`127.0.0.1:${port} is in use`);
      expect(server.output()).toContain("set PORT to another one");
      await new Promise((resolve) => other.close(resolve));
    },
    SLOW_MS,
  );
});

describe("--help and --version", () => {
  it("answer and exit 0", async () => {
    const [help, version] = [startChild({}, ["--help"]), startChild({}, ["--version"])];
    expect(await help.exited).toEqual({ code: 0, signal: null });
    expect(await version.exited).toEqual({ code: 0, signal: null });
    expect(help.output()).toContain("DATABASE_URL");
    expect(version.output().trim()).toMatch(/^\d+\.\d+\.\d+$/);
  });
});
