/** Who gets in and what they may press: sign-in, one-time links, roles, and forms from other sites. No browser needed. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createSignInLink } from "../../src/services/access/sign-in.ts";
import { FakeClock } from "../support/clock.ts";
import { ADMIN_TOKEN, makeToken } from "../support/server.ts";
import { startWorld, type World } from "./world.ts";

let world: World;
const clock = new FakeClock(Date.now());

beforeAll(async () => {
  world = await startWorld({ instances: 0, clock });
});
afterAll(async () => {
  await world.close();
});

interface Sent {
  cookie?: string;
  form?: Record<string, string>;
  headers?: Record<string, string>;
}

async function ask(path: string, { cookie = "", form, headers }: Sent = {}): Promise<Response> {
  const origin = form === undefined ? {} : { origin: world.server.url };
  return fetch(`${world.server.url}${path}`, {
    method: form === undefined ? "GET" : "POST",
    redirect: "manual",
    headers: { ...origin, cookie, ...headers },
    ...(form === undefined ? {} : { body: new URLSearchParams(form) }),
  });
}

function cookiesOf(response: Response): string {
  return response.headers
    .getSetCookie()
    .map((cookie) => cookie.split(";")[0])
    .join("; ");
}

async function signedIn(token: string): Promise<string> {
  const response = await ask("/sign-in", { form: { token } });
  expect(response.status).toBe(303);
  return cookiesOf(response);
}

const kill = "/e/production/flags/draft-reply/kill";

async function stateOf(flag: string): Promise<string> {
  return (await world.server.api("GET", `/v1/environments/production/flags/${flag}`)).text();
}

const BROWSER = { accept: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8" };

describe("an address that is not there", () => {
  it("is a page with the way to the board for a browser, signed in or not", async () => {
    const cookie = await signedIn(ADMIN_TOKEN);
    for (const path of ["/e/production/nonsense", "/e/production/flags/draft-reply/nonsense", "/nonsense"]) {
      const response = await ask(path, { cookie, headers: BROWSER });
      expect(response.status).toBe(404);
      expect(response.headers.get("content-type")).toMatch(/^text\/html/);
      expect(response.headers.get("content-security-policy")).toContain("style-src 'self'");
      const text = await response.text();
      expect(text).toContain("There is nothing at this address.");
      expect(text).toMatch(/href="\/"[^>]*>\s*To the board/);
      expect(text).toContain(response.headers.get("x-request-id") ?? "no id");
    }
    expect((await ask("/nonsense", { headers: BROWSER })).headers.get("content-type")).toMatch(/^text\/html/);
  });

  it("is a page as well where only a form may be sent", async () => {
    const response = await ask(kill, { cookie: await signedIn(ADMIN_TOKEN), headers: BROWSER });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("POST");
    expect(await response.text()).toContain("To the board");
  });

  it("stays a problem for programs, and on the addresses of the API", async () => {
    for (const [path, headers] of [
      ["/nonsense", {}],
      ["/nonsense", { accept: "application/json, text/html;q=0.1" }],
      ["/v1/nonsense", BROWSER],
      ["/sdk/v1/nonsense", BROWSER],
    ] as const) {
      const response = await ask(path, { headers: { ...headers, authorization: `Bearer ${ADMIN_TOKEN}` } });
      expect(response.status).toBe(404);
      expect(response.headers.get("content-type")).toBe("application/problem+json");
    }
  });
});

describe("the form of a token", () => {
  it("says what each role may do", async () => {
    const text = await (await ask("/e/production/tokens", { cookie: await signedIn(ADMIN_TOKEN) })).text();
    expect(text).toContain("operator: kills, restores, downgrades, blocks, raises budgets");
    expect(text).toContain("admin: also flags, chains, budgets, channels, prices, tokens");
  });
});

describe("signing in", () => {
  it("sends a visitor without a session to sign in, and back to the page they wanted", async () => {
    const response = await ask("/e/production/audit");
    expect(response.headers.get("location")).toBe("/sign-in?next=%2Fe%2Fproduction%2Faudit");
    const after = await ask("/sign-in", { form: { token: ADMIN_TOKEN, next: "/e/production/audit" } });
    expect(after.headers.get("location")).toBe("/e/production/audit");
  });

  it("keeps what was looked for there: the query of the page comes back with it", async () => {
    const response = await ask("/e/production?q=caf%C3%A9+x&state=off");
    const { searchParams } = new URL(response.headers.get("location") ?? "", "http://andon.example");
    const next = searchParams.get("next") ?? "";
    expect(next).toBe("/e/production?q=caf%C3%A9+x&state=off");
    const after = await ask("/sign-in", { form: { token: ADMIN_TOKEN, next } });
    expect(after.headers.get("location")).toBe(next);
  });

  it.each(["https://evil.example", "//evil.example", "/\\evil.example", "/?\\evil\r\nx", "/e/x#y"])(
    "never leads to another site: %s",
    async (next) => {
      const response = await ask("/sign-in", { form: { token: ADMIN_TOKEN, next } });
      expect(response.headers.get("location")).toBe("/");
    },
  );

  it.each(["sdk", "kill", "web"] as const)(
    "tells who types a token of kind %s why it does not sign in",
    async (kind) => {
      const token = await makeToken(world.server.deps, { kind });
      const response = await ask("/sign-in", { form: { token } });
      expect(response.status).toBe(403);
      const text = await response.text();
      expect(text).toContain("Sign in with an op token");
      expect(text).not.toContain(token);
    },
  );

  it("refuses a token it does not know, without repeating it", async () => {
    const response = await ask("/sign-in", { form: { token: "andon_op_nobody_has_this_one_0123456789" } });
    expect(response.status).toBe(401);
    expect(await response.text()).not.toContain("nobody_has_this_one");
  });

  it("ends the session when its token is revoked", async () => {
    const token = await makeToken(world.server.deps, { kind: "op", role: "viewer", name: "leaver" });
    const cookie = await signedIn(token);
    expect((await ask("/e/production", { cookie })).status).toBe(200);
    const id = world.server.deps.tokens.find(token)?.id ?? "";
    await world.api("DELETE", `/v1/tokens/${id}`);
    expect((await ask("/e/production", { cookie })).status).toBe(303);
  });

  it("presses nothing when a link is opened, works once when confirmed, and then says what to do", async () => {
    const { deps } = world.server;
    const admin = deps.tokens.find(ADMIN_TOKEN)?.id ?? "";
    const { secret } = await createSignInLink(deps, admin);
    for (let previews = 0; previews < 3; previews += 1) {
      expect((await ask(`/sign-in?link=${secret}`)).status).toBe(200);
    }
    const redeemed = await ask("/sign-in/link", { form: { link: secret } });
    expect(redeemed.status).toBe(303);
    expect((await ask("/e/production", { cookie: cookiesOf(redeemed) })).status).toBe(200);
    const again = await ask("/sign-in/link", { form: { link: secret } });
    expect(again.status).toBe(410);
    expect(await again.text()).toContain("andon sign-in-link");
    expect((await ask("/sign-in?link=made-up")).status).toBe(410);
  });

  it("slows down who guesses links or tokens, and lets a good one in from the same address", async () => {
    const { deps } = world.server;
    const link = async () => (await createSignInLink(deps, deps.tokens.find(ADMIN_TOKEN)?.id ?? "")).secret;
    const [used, fresh] = [await link(), await link()];
    expect((await ask("/sign-in/link", { form: { link: used } })).status).toBe(303);
    const guess = () => ask("/sign-in/link", { form: { link: "a-wrong-guess" } });
    let last = await guess();
    expect(last.status).toBe(410);
    for (let attempt = 0; attempt < 400 && last.status !== 429; attempt += 1) last = await guess();
    const refused = [
      last,
      await ask("/sign-in?link=made-up"),
      await ask("/sign-in", { form: { token: "andon_op_no" } }),
    ];
    for (const response of refused) {
      expect(response.status).toBe(429);
      expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
      expect(await response.text()).toContain("Too many failed attempts");
    }
    expect((await ask(`/sign-in?link=${used}`)).status).toBe(410);
    expect((await ask("/sign-in/link", { form: { link: fresh } })).status).toBe(303);
    expect((await ask("/sign-in", { form: { token: ADMIN_TOKEN } })).status).toBe(303);
    clock.advance(60_000);
    expect((await guess()).status).toBe(410);
  });
});

describe("forged requests", () => {
  it.each([
    ["another site", { "sec-fetch-site": "cross-site", origin: "https://evil.example" }],
    ["a sibling site", { "sec-fetch-site": "same-site", origin: "https://other.example" }],
    ["an old browser on another site", { origin: "https://evil.example" }],
    ["a sandboxed frame", { origin: "null" }],
  ])("refuses a kill that comes from %s", async (_from, headers) => {
    const cookie = await signedIn(ADMIN_TOKEN);
    const response = await ask(kill, { cookie, form: {}, headers });
    expect(response.status).toBe(403);
    expect(await stateOf("draft-reply")).toContain('"state":"on"');
  });

  it("refuses a sign-in that another site submits", async () => {
    const response = await ask("/sign-in", {
      form: { token: ADMIN_TOKEN },
      headers: { origin: "https://evil.example" },
    });
    expect(response.status).toBe(403);
    expect(response.headers.getSetCookie()).toEqual([]);
  });

  it("sends a policy that allows nothing inline and nothing from elsewhere, on every page", async () => {
    const cookie = await signedIn(ADMIN_TOKEN);
    for (const path of [
      "/sign-in",
      "/e/production",
      "/e/production/tokens",
      "/e/production/flags/none",
      "/e/nowhere",
    ]) {
      const policy = (await ask(path, { cookie })).headers.get("content-security-policy") ?? "";
      if ((await ask(path, { cookie })).status === 303) continue;
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).not.toContain("unsafe");
    }
  });
});

describe("roles", () => {
  it("shows a viewer the state and no button that would fail", async () => {
    const cookie = await signedIn(world.viewer);
    const board = await (await ask("/e/production", { cookie })).text();
    expect(board).toContain("Draft reply");
    for (const word of ["/kill", "/restore", "/downgrade", "flags/new", "/tokens"]) expect(board).not.toContain(word);
    const flag = await (await ask("/e/production/flags/draft-reply", { cookie })).text();
    for (const word of ["/kill", "/edit", "/delete", "/downgrade"]) expect(flag).not.toContain(word);
  });

  it("refuses a viewer who posts anyway, with a sentence", async () => {
    const cookie = await signedIn(world.viewer);
    const response = await ask(kill, { cookie, form: {} });
    expect(response.status).toBe(303);
    const page = await ask("/e/production", { cookie: `${cookie}; ${cookiesOf(response)}` });
    expect(await page.text()).toContain("This needs the role operator");
    expect(await stateOf("draft-reply")).toContain('"state":"on"');
  });

  it.each(["/e/production/flags/new", "/e/production/tokens", "/e/production/chains/new", "/environments/new"])(
    "answers 403 to an operator at %s",
    async (path) => {
      expect((await ask(path, { cookie: await signedIn(world.operator) })).status).toBe(403);
    },
  );

  it("answers 404 for an environment the token does not see", async () => {
    const token = await makeToken(world.server.deps, { kind: "op", role: "admin", environments: ["staging"] });
    const cookie = await signedIn(token);
    for (const path of ["/e/production", "/e/production/audit", "/e/production/live?after=x"]) {
      expect((await ask(path, { cookie })).status).toBe(404);
    }
    expect((await ask("/", { cookie })).headers.get("location")).toBe("/e/staging");
  });

  it.each(["/e/%00", "/e/production/flags/%00", "/e/production/flags/%00/edit", "/e/production/chains/%00"])(
    "answers 404 at %s, a name that the database would choke on",
    async (path) => {
      expect((await ask(path, { cookie: await signedIn(ADMIN_TOKEN) })).status).toBe(404);
    },
  );

  it("shows an empty audit of what nothing can be called", async () => {
    const cookie = await signedIn(ADMIN_TOKEN);
    expect((await ask("/e/production/audit?kind=flag&key=%00", { cookie })).status).toBe(200);
  });
});

describe("undo", () => {
  it("is offered for ten seconds; after that it refuses and names the way that is left", async () => {
    const cookie = await signedIn(world.operator);
    await ask(kill, { cookie, form: {} });
    const fresh = await (await ask("/e/production", { cookie })).text();
    const change = /name="change" value="(\d+)"/.exec(fresh)?.[1] ?? "";
    expect(change).not.toBe("");
    clock.advance(14_000);
    expect(await (await ask("/e/production", { cookie })).text()).not.toContain("Undo");
    const late = await ask("/e/production/undo", { cookie, form: { change } });
    const page = await ask("/e/production", { cookie: `${cookie}; ${cookiesOf(late)}` });
    expect(await page.text()).toContain("The ten seconds to undo are over. Use Restore…");
    expect(await stateOf("draft-reply")).toContain('"state":"off"');
  });

  it("is not offered to anybody else", async () => {
    const mine = await signedIn(world.operator);
    await ask("/e/production/flags/support-chat/kill", { cookie: mine, form: {} });
    expect(await (await ask("/e/production", { cookie: mine })).text()).toContain("Undo");
    const others = await signedIn(ADMIN_TOKEN);
    expect(await (await ask("/e/production", { cookie: others })).text()).not.toContain("Undo");
  });
});
