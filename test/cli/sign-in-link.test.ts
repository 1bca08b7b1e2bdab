/** `andon sign-in-link`: a way back in for whoever runs the server, by the database alone. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CliError, type Io } from "../../src/cli/io.ts";
import { printSignInLink } from "../../src/sign-in-link.ts";
import { ConfigError, parseConfig, type Settings } from "../../src/config.ts";
import { FIRST_ADMIN_ID } from "../../src/services/access/first-run.ts";
import { peekSignInLink, redeemSignInLink } from "../../src/services/access/sign-in.ts";
import { revokeToken } from "../../src/services/access/tokens.ts";
import type { Runtime } from "../../src/boot.ts";
import { freshPostgres } from "../support/database.ts";
import { adminCtx, startTestServer } from "../support/server.ts";

let url: string;
let runtime: Runtime;

beforeAll(async () => {
  url = await freshPostgres();
  runtime = await startTestServer({ database: { kind: "postgres", url } });
});
afterAll(() => runtime.close());

const settings = (databaseUrl = url): Settings =>
  parseConfig({
    DATABASE_URL: databaseUrl,
    ANDON_SECRET: "s".repeat(32),
    ANDON_PUBLIC_URL: "https://andon.example.com",
  });

function recording(): { io: Io; out: string[]; err: string[] } {
  const out: string[] = [];
  const err: string[] = [];
  const io: Io = {
    env: {},
    out: (line) => out.push(line),
    err: (line) => err.push(line),
    progress: null,
    ask: null,
    fetch,
    nowMs: () => 0,
    monotonicMs: () => 0,
    sleep: async () => {},
  };
  return { io, out, err };
}

function faulty(): never {
  throw new ConfigError(["DATABASE_URL: expected a URL"]);
}

describe("andon sign-in-link", () => {
  it("prints a link that signs the first admin in, once, and leaves the server's own tokens alone", async () => {
    const { io, out } = recording();
    expect(await printSignInLink(io, settings)).toBe(0);
    const link = new URL(out[0] ?? "");
    expect(link.href).toMatch(/^https:\/\/andon\.example\.com\/sign-in\?link=/);
    const secret = link.searchParams.get("link") ?? "";
    expect(await peekSignInLink(runtime.deps, secret)).toBe("valid");
    expect(await redeemSignInLink(runtime.deps, secret)).toEqual({ tokenId: FIRST_ADMIN_ID });
    expect(await redeemSignInLink(runtime.deps, secret)).toBeNull();
    await runtime.deps.tokens.refresh();
    expect(runtime.deps.tokens.byId("admin-from-environment")).not.toBeNull();
  });

  it("warns when the link leads nowhere for browsers elsewhere", async () => {
    const { io, err } = recording();
    await printSignInLink(io, () => parseConfig({ DATABASE_URL: url, ANDON_SECRET: "s".repeat(32), HOST: "0.0.0.0" }));
    expect(err.join("\n")).toContain(
      "Warning: HOST 0.0.0.0 is reached from elsewhere, but ANDON_PUBLIC_URL is not set",
    );
  });

  it("says what to do on a database where no server was started", async () => {
    const empty = await freshPostgres();
    await expect(printSignInLink(recording().io, () => settings(empty))).rejects.toThrow(
      /never started on this database/,
    );
  });

  it("makes no database where none is", async () => {
    await expect(
      printSignInLink(recording().io, () => parseConfig({ ANDON_DATA_DIR: "/nowhere/at/all" })),
    ).rejects.toThrow(/There is no database in \/nowhere\/at\/all/);
  });

  it("says what to do when the first admin was revoked", async () => {
    await revokeToken(adminCtx(runtime.deps), FIRST_ADMIN_ID);
    await expect(printSignInLink(recording().io, settings)).rejects.toThrow(/ANDON_ADMIN_TOKEN/);
  });

  it("names what is wrong with the configuration, as wrong usage", async () => {
    const failure = printSignInLink(recording().io, faulty);
    await expect(failure).rejects.toBeInstanceOf(CliError);
    await expect(failure).rejects.toMatchObject({ exitCode: 2, message: expect.stringContaining("DATABASE_URL") });
  });
});
