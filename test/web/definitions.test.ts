/** Defining things by plain forms, as a browser without JavaScript sends them: nothing typed is ever lost. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { audit } from "../../src/db/schema/state.ts";
import { ADMIN_TOKEN, makeToken } from "../support/server.ts";
import { batchOf } from "../support/usage.ts";
import { PRODUCTION, startWorld, type World } from "./world.ts";

let world: World;
let cookie = "";

beforeAll(async () => {
  world = await startWorld({ instances: 0 });
  cookie = (await post("/sign-in", { token: ADMIN_TOKEN })).headers.getSetCookie()[0]?.split(";")[0] ?? "";
});
afterAll(async () => {
  await world.close();
});

async function post(path: string, form: Record<string, string>): Promise<Response> {
  return fetch(`${world.server.url}${path}`, {
    method: "POST",
    redirect: "manual",
    headers: { cookie, origin: world.server.url },
    body: new URLSearchParams(form),
  });
}

async function get(path: string): Promise<string> {
  return (await fetch(`${world.server.url}${path}`, { headers: { cookie } })).text();
}

async function flag(key: string): Promise<unknown> {
  return (await world.server.api("GET", `${PRODUCTION}/flags/${key}`)).json();
}

const FLAG = { key: "translate", name: "Translate", offMode: "error", rollout: "100", chain: "", do: "save" };

describe("the form of a flag", () => {
  it("takes limits and caps, says what is wrong with one beside it, and its page says what they come to", async () => {
    const limits = { key: "limited", name: "Limited", "limits.user.requestsPerMinute": "20", maxOutputTokens: "4,096" };
    const half = { ...FLAG, ...limits, "limits.flag.concurrent": "1.5" };
    const again = await (await post("/e/production/flags/new", half)).text();
    expect(again).toContain("must be a whole number, 1 to 100000");
    expect(again).toContain('name="limits.flag.concurrent" aria-invalid="true"');
    expect(again).toContain('value="4,096"');
    await post("/e/production/flags/new", { ...FLAG, ...limits, "limits.flag.concurrent": "" });
    expect(await flag("limited")).toMatchObject({
      limits: { user: { requestsPerMinute: 20 } },
      maxInputBytes: null,
      maxOutputTokens: 4_096,
    });
    const page = await get("/e/production/flags/limited");
    expect(page).toContain("<li>each user: 20 a minute</li>");
    expect(page).toContain("<li>max_tokens of at most 4,096: a request for more is refused</li>");
    expect(page).toContain("Each instance counts its own calls.");
    const edit = await get("/e/production/flags/limited/edit");
    expect(edit).toMatch(/name="limits\.user\.requestsPerMinute"[^>]*value="20"/);
    await post("/e/production/flags/limited/edit", { ...FLAG, key: "limited", name: "Limited", version: "1" });
    expect(await flag("limited")).toMatchObject({ limits: {}, maxOutputTokens: null });
  });

  it("grows rules and conditions by its buttons and keeps what was typed", async () => {
    const grown = await post("/e/production/flags/new", { ...FLAG, name: "Half typed", do: "add-rule" });
    const page = await grown.text();
    expect(page).toContain('value="Half typed"');
    expect(page).toContain('name="rules.0.when.0.attribute"');
    const rule = {
      "rules.0.then": "off",
      "rules.0.when.0.attribute": "plan",
      "rules.0.when.0.operator": "in",
      "rules.0.when.0.value": "free",
    };
    const more = await (await post("/e/production/flags/new", { ...FLAG, ...rule, do: "add-condition.0" })).text();
    expect(more).toContain('name="rules.0.when.1.attribute"');
    expect(more).toContain('value="plan"');
    const less = await (await post("/e/production/flags/new", { ...FLAG, ...rule, do: "remove-rule.0" })).text();
    expect(less).not.toContain("rules.0.when");
  });

  it("creates a flag with typed rule values", async () => {
    const made = await post("/e/production/flags/new", {
      ...FLAG,
      rollout: "12.5",
      abortInFlight: "yes",
      "rules.0.name": "old apps",
      "rules.0.then": "off",
      "rules.0.when.0.attribute": "version",
      "rules.0.when.0.operator": "semverLessThan",
      "rules.0.when.0.value": "2.1.0",
      "rules.0.when.1.attribute": "seats",
      "rules.0.when.1.operator": "in",
      "rules.0.when.1.value": '5, "5", trial',
    });
    expect(made.headers.get("location")).toBe("/e/production");
    expect(await flag("translate")).toMatchObject({
      rollout: 12.5,
      abortInFlight: true,
      rules: [
        {
          name: "old apps",
          then: "off",
          when: [
            { attribute: "version", operator: "semverLessThan", value: "2.1.0" },
            { attribute: "seats", operator: "in", value: [5, "5", "trial"] },
          ],
        },
      ],
    });
  });

  it("puts each fault beside its field and gives back what was typed", async () => {
    const refused = await post("/e/production/flags/new", {
      ...FLAG,
      key: "Not A Key",
      rollout: "many",
      "rules.0.then": "off",
      "rules.0.when.0.attribute": "seats",
      "rules.0.when.0.operator": "lessThan",
      "rules.0.when.0.value": "few",
    });
    expect(refused.status).toBe(422);
    const page = await refused.text();
    for (const id of ["e-key", "e-rollout", "e-rules.0.when.0.value"]) expect(page).toContain(`id="${id}"`);
    for (const typed of ["Not A Key", "many", "few"]) expect(page).toContain(`value="${typed}"`);
  });

  it("does not overwrite what somebody else has saved meanwhile", async () => {
    const opened = await get("/e/production/flags/draft-reply/edit");
    const version = /name="version" value="(\d+)"/.exec(opened)?.[1] ?? "";
    await world.api("PATCH", `${PRODUCTION}/flags/draft-reply`, { owner: "somebody else" });
    const late = await post("/e/production/flags/draft-reply/edit", { ...FLAG, name: "Mine", version });
    expect(late.status).toBe(422);
    expect(await late.text()).toContain('value="Mine"');
    expect(await flag("draft-reply")).toMatchObject({ owner: "somebody else", name: "Draft reply" });
  });

  it("escapes what people type", async () => {
    const name = `<script>alert("1")</script>`;
    await world.api("PATCH", `${PRODUCTION}/flags/support-chat`, { name, description: name, owner: name });
    for (const path of [
      "/e/production",
      "/e/production/flags/support-chat",
      "/e/production/flags/support-chat/edit",
      "/e/production/audit",
    ]) {
      expect(await get(path)).not.toContain("<script>alert");
    }
  });
});

describe("the page of a flag", () => {
  it("says that nobody ever evaluated it, then when somebody last did, and whether a guard holds its calls", async () => {
    await world.server.api("POST", `${PRODUCTION}/flags`, { key: "wired", name: "Wired" });
    const page = "/e/production/flags/wired";
    expect(await get(page)).toContain("Never evaluated: no application asks for <code>wired</code> yet.");
    const token = await makeToken(world.server.deps, { kind: "sdk" });
    const usage = { ...batchOf([]), checks: { wired: { on: 1, off: 0 } } };
    expect((await world.server.api("POST", "/sdk/v1/usage", usage, token)).status).toBe(200);
    expect(await get(page)).toMatch(/Last evaluated <time datetime="/);
    expect(await get(page)).toContain("A kill acts at the next check, and ends no running call.");
    expect(await get("/e/production")).toContain("Not wired");
    const guarded = { ...batchOf([]), checks: { wired: { on: 1, off: 0, sdk: "1.14.0" } } };
    expect((await world.server.api("POST", "/sdk/v1/usage", guarded, token)).status).toBe(200);
    expect(await get(page)).toMatch(/Last guarded call <time[^>]*>[^<]*<\/time>, by @anthropic-ai\/sdk 1\.14\.0\./);
    expect(await get("/e/production")).not.toContain("Not wired");
  });
});

describe("the form of a chain", () => {
  it("moves steps, says where JSON is wrong, and saves", async () => {
    const steps = { name: "cheap", "steps.0.model": "claude-haiku-4-5", "steps.1.model": "claude-sonnet-5-5" };
    const moved = await (await post("/e/production/chains/new", { ...steps, do: "raise-step.1" })).text();
    expect(moved.indexOf("claude-sonnet-5-5")).toBeLessThan(moved.lastIndexOf("claude-haiku-4-5"));
    for (const set of ["{thinking}", '{"__proto__": {"temperature": 0}}']) {
      const wrong = await post("/e/production/chains/new", { ...steps, "steps.0.set": set, do: "save" });
      expect(wrong.status).toBe(422);
      expect(await wrong.text()).toContain('id="e-steps.0.set"');
    }
    const made = await post("/e/production/chains/new", {
      ...steps,
      "steps.0.unset": "temperature, top_k",
      "steps.2.model": "",
      do: "save",
    });
    expect(made.headers.get("location")).toBe("/e/production/chains");
    expect(await (await world.server.api("GET", `${PRODUCTION}/chains`)).text()).toContain(
      '"unset":["temperature","top_k"]',
    );
  });

  it("does not replace a chain of the same name", async () => {
    const taken = await post("/e/production/chains/new", { name: "opus-first", "steps.0.model": "m", do: "save" });
    expect(taken.status).toBe(422);
    expect(await taken.text()).toContain("is taken");
  });
});

describe("tokens", () => {
  it("shows a secret once: on the answer to its creation and nowhere after", async () => {
    const form = { kind: "sdk", name: "shop", environments: "production", role: "operator", days: "30" };
    const page = await (await post("/e/production/tokens", form)).text();
    const secret = /andon_sdk_[\w-]{20,}/.exec(page)?.[0] ?? "";
    expect(secret).not.toBe("");
    for (const path of ["/e/production/tokens", "/e/production/audit"]) expect(await get(path)).not.toContain(secret);
    const poll = () => fetch(`${world.server.url}/sdk/v1/snapshot`, { headers: { authorization: `Bearer ${secret}` } });
    expect((await poll()).status).toBe(200);
    const id = world.server.deps.tokens.find(secret)?.id ?? "";
    expect((await post(`/e/production/tokens/${id}/revoke`, {})).status).toBe(303);
    expect((await poll()).status).toBe(401);
  });
});

describe("the audit", () => {
  it("reverts an edit from its entry", async () => {
    await world.api("PATCH", `${PRODUCTION}/flags/summarize-ticket`, { rollout: 50 });
    const page = await get("/e/production/audit");
    const id = /audit\/(\d+)\/revert/.exec(page)?.[1] ?? "";
    await post(`/e/production/audit/${id}/revert`, { back: "/e/production/audit" });
    expect(await flag("summarize-ticket")).toMatchObject({ rollout: 100 });
  });

  it("shows what a newer version recorded as it names it, and takes none of it back", async () => {
    const { deps } = world.server;
    const entry = {
      environmentId: deps.snapshots.environmentByKey("production")?.environmentId ?? "",
      actor: { kind: "op", id: "new", name: "a newer server" },
      targetKind: "flag",
      target: "summarize-ticket",
      requestId: "newer",
    } as const;
    const rows = await deps.db
      .insert(audit)
      .values([
        { ...entry, action: "flag.quarantined", before: { zone: "a" }, after: { zone: "b" } },
        // An action that this version knows, in a form that it does not.
        { ...entry, action: "flag.killed", before: { switch: "on" }, after: { switch: "off" } },
      ])
      .returning({ id: audit.id });
    const page = await get("/e/production/audit");
    expect(page).toContain("flag.quarantined");
    expect(page).toContain("zone: a → b");
    expect(page).toContain("switch: on → off");
    const { items } = z
      .object({ items: z.array(z.looseObject({ id: z.number(), revertible: z.boolean() })) })
      .parse(await (await world.server.api("GET", `${PRODUCTION}/audit`)).json());
    for (const { id } of rows) {
      expect(page).not.toContain(`audit/${String(id)}/revert`);
      expect(items).toContainEqual(expect.objectContaining({ id, revertible: false }));
      for (const [what, body] of [
        ["revert", {}],
        ["reason", { reason: "why" }],
      ] as const) {
        const answer = await world.server.api("POST", `${PRODUCTION}/audit/${String(id)}/${what}`, body);
        expect(answer.status, what).toBe(409);
      }
    }
  });
});

it("creates an environment and opens its board with the first steps", async () => {
  const made = await post("/environments", { key: "eu-production", name: "EU" });
  expect(made.headers.get("location")).toBe("/e/eu-production");
  expect(await get("/e/eu-production")).toContain("Waiting for the first instance");
});
