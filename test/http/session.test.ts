/** The session cookie: what it holds, how long it lasts, and that no other site can use it. */
import { decodeJwt } from "jose";
import { Hono } from "hono";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createSession, readSession, signInWithToken } from "../../src/http/middleware/session.ts";
import { endedSessions } from "../../src/db/schema/state.ts";
import { pruneSessions } from "../../src/services/access/sign-out.ts";
import { FakeClock } from "../support/clock.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";
import { createdToken, expectJson, expectStatus, type Harness, seed, startHarness } from "./harness.ts";
import { expectProblem } from "./problem-shape.ts";

const HOUR_MS = 3_600_000;
const KILL = "/v1/environments/production/flags/support-chat/kill";
const clock = new FakeClock();
let harness: Harness;

beforeAll(async () => {
  harness = await startHarness({ clock });
  await seed(harness);
});
afterAll(() => harness.close());

/** The Set-Cookie of a sign-in, as the board's page does it. */
async function signIn(tokenId = "admin-from-environment", on = harness): Promise<string> {
  const page = new Hono().get("/", async (c) => {
    await createSession(c, on.deps, tokenId);
    return c.text("in");
  });
  return (await page.request("/")).headers.get("set-cookie") ?? "";
}

/** The button of every page. */
const signOut = (cookie: string, on = harness) =>
  on.call("POST", "/sign-out", asBrowser(cookie, { "sec-fetch-site": "same-origin" }));

const cookieOf = (setCookie: string) => setCookie.slice(0, setCookie.indexOf(";"));
const asBrowser = (cookie: string, headers: Record<string, string> = {}) => ({
  token: null,
  headers: { cookie, ...headers },
});

describe("the session cookie", () => {
  it("is HttpOnly, SameSite=Lax, for 12 hours, and names itself and a token by id and nothing else", async () => {
    const setCookie = await signIn();
    expect(setCookie).toMatch(/^andon_session=/);
    expect(setCookie).toContain("Max-Age=43200");
    expect(setCookie).toContain("HttpOnly");
    expect(setCookie).toContain("SameSite=Lax");
    expect(setCookie).not.toContain("Secure");
    expect(Object.keys(decodeJwt(cookieOf(setCookie).slice("andon_session=".length))).toSorted()).toEqual([
      "aud",
      "exp",
      "iat",
      "iss",
      "jti",
      "sub",
    ]);
  });

  it("is Secure and bound to its host when the server is reached by https", async () => {
    const https = await startHarness({ settings: { publicUrl: "https://andon.example.com" }, clock });
    const setCookie = await signIn("admin-from-environment", https);
    expect(setCookie).toMatch(/^__Host-andon_session=/);
    expect(setCookie).toContain("Secure");
    const page = new Hono().get("/", async (c) => c.json(await readSession(c, https.deps)));
    expect(await (await page.request("/", { headers: { cookie: cookieOf(setCookie) } })).json()).toMatchObject({
      role: "admin",
    });
    expect(
      await (await page.request("/", { headers: { cookie: cookieOf(setCookie).replace("__Host-", "") } })).json(),
    ).toBeNull();
    await https.close();
  });

  it("ends after 12 hours, and when its token is revoked", async () => {
    const body = { kind: "op", role: "viewer", name: "session" };
    const made = await expectJson(harness.call("POST", "/v1/tokens", { body }), createdToken, 201);
    const cookie = cookieOf(await signIn(made.id));
    await expectStatus(harness.call("GET", "/v1/environments", asBrowser(cookie)), 200);
    await expectStatus(harness.call("DELETE", `/v1/tokens/${made.id}`), 200);
    await expectProblem(harness.call("GET", "/v1/environments", asBrowser(cookie)), 401);

    const long = cookieOf(await signIn());
    clock.advance(12 * HOUR_MS - 1_000);
    await expectStatus(harness.call("GET", "/v1/environments", asBrowser(long)), 200);
    clock.advance(2_000);
    await expectProblem(harness.call("GET", "/v1/environments", asBrowser(long)), 401);
  });

  it("is over on every server once it was signed out of: a copy is worth nothing, other sessions go on", async () => {
    const database = await freshDatabase("postgres");
    const [one, other] = [await startHarness({ clock, database }), await startHarness({ clock, database })];
    const [copied, second] = [cookieOf(await signIn()), cookieOf(await signIn())];
    const answered = await signOut(copied, one);
    expect(answered.headers.get("set-cookie")).toMatch(/andon_session=; Max-Age=0/);
    await expectProblem(one.call("GET", "/v1/environments", asBrowser(copied)), 401);
    await until("the other server has heard", async () => {
      return (await other.call("GET", "/v1/environments", asBrowser(copied))).status === 401;
    });
    for (const server of [one, other]) {
      await expectStatus(server.call("GET", "/v1/environments", asBrowser(second)), 200);
      await server.close();
    }
  });

  it("that was signed out of stays so for as long as its cookie lasts, in a bounded and pruned table", async () => {
    const first = cookieOf(await signIn());
    await signOut(first);
    for (let times = 0; times < 101; times += 1) await signOut(cookieOf(await signIn()));
    const kept = async () => (await harness.deps.db.select().from(endedSessions)).length;
    expect(await kept()).toBeLessThanOrEqual(100);
    await expectProblem(harness.call("GET", "/v1/environments", asBrowser(first)), 401);
    clock.advance(1_000);
    const fresh = cookieOf(await signIn());
    await expectStatus(harness.call("GET", "/v1/environments", asBrowser(fresh)), 200);
    await signOut(fresh);
    clock.advance(12 * HOUR_MS + 1_000);
    await pruneSessions(harness.deps);
    expect(await kept()).toBe(0);
  });

  it.each(["nonsense", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbi1mcm9tLWVudmlyb25tZW50In0.", ""])(
    "that was forged (%j) is no session",
    async (value) => {
      await expectProblem(harness.call("GET", "/v1/environments", asBrowser(`andon_session=${value}`)), 401);
    },
  );
});

describe("the operator API with a session cookie", () => {
  it("takes a change from our own pages only", async () => {
    const cookie = cookieOf(await signIn());
    const kill = (headers: Record<string, string>) =>
      harness.call("POST", KILL, { ...asBrowser(cookie, headers), body: { reason: "x" } });
    await expectStatus(kill({ "sec-fetch-site": "same-origin" }), 200);
    await expectStatus(kill({ origin: "http://localhost" }), 200);
    for (const foreign of [
      {},
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site" },
      { "sec-fetch-site": "none" },
      { "sec-fetch-site": "cross-site", origin: "http://localhost" },
      { origin: "https://evil.example" },
      { origin: "null" },
    ]) {
      await expectProblem(kill(foreign), 403);
    }
    await expectProblem(
      harness.call("GET", "/v1/environments", asBrowser(cookie, { "sec-fetch-site": "cross-site" })),
      403,
    );
  });

  it("is not asked when there is a bearer, valid or not", async () => {
    const cookie = cookieOf(await signIn());
    await expectProblem(
      harness.call("GET", "/v1/environments", { token: "andon_op_unknown", headers: { cookie } }),
      401,
    );
  });
});

describe("signing in with a token", () => {
  it("answers who it is for an op token, null for an unknown one, and says so for other kinds", () => {
    expect(signInWithToken(harness.deps, ` ${harness.tokens.viewer}\n`)).toMatchObject({ kind: "op", role: "viewer" });
    expect(signInWithToken(harness.deps, "andon_op_unknown")).toBeNull();
    for (const kind of ["sdk", "kill", "web"] as const) {
      expect(() => signInWithToken(harness.deps, harness.tokens[kind])).toThrow(`kind "${kind}"`);
    }
  });

  it("refuses guesses after a while, never a valid token", () => {
    const guess = () => signInWithToken(harness.deps, "andon_op_unknown", "203.0.113.7");
    expect(() => {
      for (let attempt = 0; attempt < 400; attempt += 1) guess();
    }).toThrow("Too many failed attempts");
    expect(signInWithToken(harness.deps, harness.tokens.admin, "203.0.113.7")).not.toBeNull();
    clock.advance(61_000);
    expect(guess()).toBeNull();
  });
});
