/** Tokens: made here, shown once, revoked here. A secret is on one page only, the answer to its creation. */
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import { requireScope } from "../../authorize.ts";
import { OFFERED_TOKEN_KINDS, ROLES } from "../../domain/actor.ts";
import { MAX_NAME_CHARS } from "../../domain/limits.ts";
import { tokenBody } from "../../api/token.ts";
import { createToken, listTokens, revokeToken } from "../../services/access/tokens.ts";
import { done } from "../shell/act.tsx";
import { Snippet } from "../board/first-steps.tsx";
import { Choices, Field, type FieldErrors, FormErrors, NO_ERRORS, Select } from "../form/parts.tsx";
import { type Form, type PageContext, type PageEnv, readForm, serviceContext } from "../shell/page-context.ts";
import { sendPage, visibleEnvironments } from "../shell/render.tsx";
import { TokenEntry } from "./token-entry.tsx";
import { parseForm, pressed, submitted } from "../form/submit.ts";

const DAY_MS = 86_400_000;
const LIFETIMES = [
  { value: "", label: "Until it is revoked" },
  { value: "1", label: "1 day" },
  { value: "30", label: "30 days" },
  { value: "365", label: "1 year" },
] as const;
const ALL = "*";

export function tokenPages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();
  app.get("/e/:environment/tokens", async (c) => page(c, deps, NO_ERRORS));

  app.post("/e/:environment/tokens", async (c) => {
    const form = await readForm(c);
    return submitted(
      async () => {
        const created = await createToken(serviceContext(c, deps), parseToken(form, deps.clock.nowMs()));
        return createdPage(c, deps, created.secret, created.token.kind, created.token.name);
      },
      (errors) => page(c, deps, errors, form),
    );
  });

  app.post("/e/:environment/tokens/:id/revoke", async (c) => {
    const { environment, id } = c.req.param();
    const path = `/e/${environment}/tokens`;
    return pressed(c, path, async () => {
      const token = await revokeToken(serviceContext(c, deps), id);
      return done(c, path, `Revoked the token ${token.name}: it is refused from now on.`);
    });
  });
  return app;
}

function parseToken(form: Form, nowMs: number) {
  const kind = form.text("kind");
  const environment = form.text("environments");
  const days = LIFETIMES.find((one) => one.value === form.text("days"))?.value ?? "";
  const { environments, ...rest } = parseForm(tokenBody, {
    kind,
    name: form.text("name"),
    ...(kind === "op" ? { role: form.text("role") } : {}),
    environments: environment === ALL ? null : [environment],
  });
  return {
    ...rest,
    environments: environments ?? null,
    expiresAt: days === "" ? null : new Date(nowMs + Number(days) * DAY_MS),
  };
}

async function page(c: PageContext, deps: Deps, errors: FieldErrors, form?: Form) {
  const { environment = "" } = c.req.param();
  const actor = c.get("actor");
  requireScope(actor, "admin");
  const { items } = await listTokens(serviceContext(c, deps));
  const nowMs = deps.clock.nowMs();
  const isOver = (one: (typeof items)[number]) =>
    one.revokedAt !== null || (one.expiresAt !== null && Date.parse(one.expiresAt) <= nowMs);
  const active = items.filter((one) => !isOver(one));
  const over = items.filter(isOver);
  const base = `/e/${environment}/tokens`;
  const kind = form?.text("kind") ?? OFFERED_TOKEN_KINDS.find((one) => one === c.req.query("kind")) ?? "sdk";
  const keys = visibleEnvironments(deps, actor);
  return sendPage(
    c,
    deps,
    { title: "Tokens", section: "tokens", actor, environment, errors },
    <>
      <form class="card stack" method="post" action={base}>
        <h1>New token</h1>
        <FormErrors errors={errors} fields={["kind", "name", "role", "environments"]} />
        <Choices
          name="kind"
          legend="For"
          value={kind}
          errors={errors}
          options={[
            { value: "sdk", label: "an application (sdk)", note: "Polls the state of one environment." },
            { value: "op", label: "a person or CI (op)", note: "Signs in here and uses the API, by its role." },
            {
              value: "kill",
              label: "an alert or chat button (kill)",
              note: "Can only kill or downgrade, never the reverse.",
            },
          ]}
        />
        <Field
          name="name"
          label="Name"
          value={form?.text("name") ?? ""}
          errors={errors}
          maxlength={MAX_NAME_CHARS}
          required
          hint="What or whom it is for: shop-backend, maria"
        />
        <Select
          name="environments"
          label="Environment"
          value={form?.text("environments") ?? environment}
          errors={errors}
          options={[
            ...keys.map((key) => ({ value: key, label: key })),
            ...(actor.environmentIds === null ? [{ value: ALL, label: "all of them (op only)" }] : []),
          ]}
        />
        <Select
          name="role"
          label="Role (op only)"
          value={form?.text("role") ?? "operator"}
          errors={errors}
          options={ROLES.map((role) => ({ value: role, label: ROLE_TEXT[role] }))}
        />
        <Select name="days" label="Good for" value={form?.text("days") ?? ""} errors={errors} options={LIFETIMES} />
        <div>
          <button class="main">Create token</button>
        </div>
      </form>
      <section class="card">
        <h2>Tokens</h2>
        {active.length === 0 ? <p class="dim">None yet.</p> : null}
        <ul class="list">
          {active.map((token) => (
            <TokenEntry token={token} base={base} nowMs={nowMs} />
          ))}
        </ul>
        {over.length === 0 ? null : (
          <details id="over">
            <summary class="line-summary">{over.length} revoked or expired</summary>
            <ul class="list">
              {over.map((token) => (
                <TokenEntry token={token} base={base} nowMs={nowMs} />
              ))}
            </ul>
          </details>
        )}
      </section>
    </>,
  );
}

const ROLE_TEXT = {
  viewer: "viewer: sees everything, changes nothing",
  operator: "operator: kills, restores, downgrades, blocks, raises budgets",
  admin: "admin: also flags, chains, budgets, channels, prices, tokens",
} as const;

function createdPage(c: PageContext, deps: Deps, secret: string, kind: string, name: string) {
  const { environment = "" } = c.req.param();
  return sendPage(
    c,
    deps,
    { title: "Token created", section: "tokens", actor: c.get("actor"), environment },
    <section class="card stack">
      <h1>{`Token for ${name}`}</h1>
      <p>
        <b>Copy it now: it is not shown again.</b> Andon keeps only its hash.
      </p>
      <code class="secret" id="secret">
        {secret}
      </code>
      <div class="acts">
        <button type="button" class="main" data-copy="secret" hidden>
          Copy the token
        </button>
        <a class="button" href={`/e/${environment}`}>
          To the board
        </a>
      </div>
      {kind === "sdk" ? (
        <>
          <h2>In the application</h2>
          <p>
            Put the token into its environment as <code>ANDON_TOKEN</code>, not into the code, and the client into the
            application. It is not published: do not install <code>andon</code> or <code>andon-client</code> by name.
          </p>
          <Snippet flagKey="support-chat" publicUrl={deps.config.publicUrl} />
        </>
      ) : (
        <p>
          The <code>andon</code> command and CI read it from <code>ANDON_OP_TOKEN</code>; over the API it is sent as{" "}
          <code>Authorization: Bearer …</code>.{kind === "op" ? " A person signs in to this board with it." : ""}
        </p>
      )}
    </section>,
  );
}
