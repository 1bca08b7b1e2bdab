/** What a start makes of what it finds: the admin's token from outside, sign-in links, supported versions. */
import { readFileSync } from "node:fs";
import { eq, sql } from "drizzle-orm";
import { describe, expect, it } from "vitest";
import { unsupportedVersion } from "../../src/db/database.ts";
import { audit, tokens } from "../../src/db/schema/state.ts";
import { ENVIRONMENT_ADMIN_ID } from "../../src/services/access/first-run.ts";
import { redeemSignInLink } from "../../src/services/access/sign-in.ts";
import { FakeClock } from "../support/clock.ts";
import { freshDatabase } from "../support/database.ts";
import { ADMIN_TOKEN, makeToken, startTestServer } from "../support/server.ts";

describe("ANDON_ADMIN_TOKEN", () => {
  it("is good while it is set, follows a change, and is revoked when it is gone", async () => {
    const database = await freshDatabase("postgres");
    const first = await startTestServer({ database });
    expect(first.deps.tokens.find(ADMIN_TOKEN)).toMatchObject({ id: ENVIRONMENT_ADMIN_ID, kind: "op", role: "admin" });
    await first.close();

    const other = "andon_op_another_one_for_tests_0123456789";
    const second = await startTestServer({ database, settings: { adminToken: other } });
    expect(second.deps.tokens.find(ADMIN_TOKEN)).toBeNull();
    expect(second.deps.tokens.find(other)).toMatchObject({ id: ENVIRONMENT_ADMIN_ID });
    await second.close();

    const third = await startTestServer({ database, settings: { adminToken: null } });
    expect(third.deps.tokens.find(other)).toBeNull();
    const entries = await third.deps.db
      .select({ action: audit.action })
      .from(audit)
      .where(eq(audit.target, "ANDON_ADMIN_TOKEN"));
    expect(entries.map(({ action }) => action)).toEqual(["token.created", "token.created", "token.revoked"]);
    await third.close();
  });
});

describe("a start", () => {
  const secret = "another secret for tests only, not for anything else";

  it("with another ANDON_SECRET than the last one says so, once for each change, and serves", async () => {
    const database = await freshDatabase("postgres");
    const warningsWith = async (settings: { secret?: string } = {}) => {
      const { warnings, deps, close } = await startTestServer({ database, settings });
      expect(deps.snapshots.all()).toHaveLength(2);
      await close();
      return warnings.join("\n");
    };
    expect(await warningsWith()).toBe("");
    expect(await warningsWith()).toBe("");
    expect(await warningsWith({ secret })).toContain("ANDON_SECRET is not the one");
    expect(await warningsWith({ secret })).toBe("");
  });

  it("on a schema that a newer release has made says so, and serves as long as it understands it", async () => {
    const database = await freshDatabase("postgres");
    const first = await startTestServer({ database });
    await first.deps.db.execute(
      sql`insert into drizzle.__drizzle_migrations (hash, created_at) values ('newer', ${Date.parse("2100-01-01")})`,
    );
    await first.close();
    const second = await startTestServer({ database });
    expect(second.warnings).toEqual([expect.stringContaining("newer release")]);
    await second.deps.db.execute(sql`alter table environments rename column key to name_in_urls`);
    await second.close();
    await expect(startTestServer({ database })).rejects.toThrow(/newer release.*cannot start/s);
  });
});

describe("migrations", () => {
  it("are in the order of their times: one that is older than the newest of a database is never applied to it", () => {
    const file = new URL("../../migrations/meta/_journal.json", import.meta.url);
    const { entries }: { entries: { when: number }[] } = JSON.parse(readFileSync(file, "utf8"));
    const times = entries.map(({ when }) => when);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });
});

describe("the sign-in link of a start", () => {
  it("is offered at the first run only on PostgreSQL, and signs in as admin once", async () => {
    const database = await freshDatabase("postgres");
    const first = await startTestServer({ database });
    const secret = first.signInSecret ?? "";
    expect(await redeemSignInLink(first.deps, secret)).toEqual({ tokenId: "admin" });
    expect(await redeemSignInLink(first.deps, secret)).toBeNull();
    expect(first.deps.tokens.byId("admin")).toMatchObject({ kind: "op", role: "admin" });
    await first.close();
    const second = await startTestServer({ database });
    expect(second.signInSecret).toBeNull();
    await second.close();
  });
});

describe("a token", () => {
  it("is refused from the moment it expires, and when it is not known at all", async () => {
    const clock = new FakeClock();
    const { deps, close } = await startTestServer({ clock });
    const expiresAt = new Date(clock.nowMs() + 60_000);
    const token = await makeToken(deps, { kind: "sdk", expiresAt });
    expect(deps.tokens.find(token)).toMatchObject({ kind: "sdk" });
    clock.advance(59_999);
    expect(deps.tokens.find(token)).not.toBeNull();
    clock.advance(1);
    expect(deps.tokens.find(token)).toBeNull();
    expect(deps.tokens.find("x".repeat(10_000))).toBeNull();
    const [row] = await deps.db.select().from(tokens).where(eq(tokens.kind, "sdk"));
    expect(row?.hash).toMatch(/^[0-9a-f]{64}$/);
    await close();
  });
});

describe("the version of PostgreSQL", () => {
  it("is accepted from 14 to 18 and refused with words otherwise", () => {
    expect([140_000, 150_012, 180_004].map(unsupportedVersion)).toEqual([null, null, null]);
    expect(unsupportedVersion(130_020)).toBe("PostgreSQL 13 is not supported: Andon needs 14 to 18.");
    expect(unsupportedVersion(190_000)).toContain("PostgreSQL 19");
  });
});
