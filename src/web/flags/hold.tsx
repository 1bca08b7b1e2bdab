/** Holding a flag to its chain, or letting go of it: what it would cost, before it is done. */
import { FormActs } from "../form/parts.tsx";
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import { requireScope } from "../../authorize.ts";
import type { FlagResource } from "../../api/flag.ts";
import { getFlag, updateFlag } from "../../services/flags/flags.ts";
import { type HoldPreview, holdPreview } from "../../services/flags/hold-preview.ts";
import { done } from "../shell/act.tsx";
import { usdPerHour } from "../text/money.ts";
import { type PageEnv, readForm, serviceContext } from "../shell/page-context.ts";
import { sendPage } from "../shell/render.tsx";
import { count } from "../text/text.ts";
import { pressed } from "../form/submit.ts";

export function holdPages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();
  app.get("/e/:environment/flags/:key/hold", async (c) => {
    const { environment, key } = c.req.param();
    const actor = c.get("actor");
    requireScope(actor, "admin");
    const ctx = serviceContext(c, deps);
    const [flag, preview] = await Promise.all([getFlag(ctx, environment, key), holdPreview(ctx, environment, key)]);
    const title = flag.chainOnly ? `Let ${flag.name} go of its chain` : `Hold ${flag.name} to its chain`;
    return sendPage(
      c,
      deps,
      { title, section: "board", actor, environment },
      <Hold flag={flag} preview={preview} title={title} path={`/e/${environment}/flags/${key}`} />,
    );
  });
  app.post("/e/:environment/flags/:key/hold", async (c) => {
    const { environment, key } = c.req.param();
    const form = await readForm(c);
    const chainOnly = form.text("chainOnly") === "yes";
    const path = `/e/${environment}/flags/${key}`;
    return pressed(c, `${path}/hold`, async () => {
      const { value } = await updateFlag(serviceContext(c, deps), environment, key, { chainOnly });
      const now = chainOnly
        ? `${value.name} is held to its chain: no other model is sent.`
        : `${value.name} may use models outside its chain again.`;
      return done(c, path, now);
    });
  });
  return app;
}

interface HoldProps {
  flag: FlagResource;
  preview: HoldPreview;
  title: string;
  path: string;
}

function Hold({ flag, preview, title, path }: HoldProps) {
  if (flag.chain === null) {
    return (
      <section class="card stack">
        <h1>{`${flag.name} has no chain to hold to`}</h1>
        <p>Give it a chain first: then it can be held to its models, and downgraded.</p>
        <p class="acts">
          <a class="button main" href={`${path}/edit`}>
            Edit the flag
          </a>
        </p>
      </section>
    );
  }
  return (
    <form class="card stack" method="post" action={`${path}/hold`}>
      <h1>{title}</h1>
      {flag.chainOnly ? (
        <p>
          Calls may then name a model outside <code>{flag.chain}</code> again: they are sent as they ask while that
          model is not blocked and the flag is at the first step of its chain.
        </p>
      ) : (
        <>
          <p>
            A call that names a model outside <code>{flag.chain}</code> then goes to a step of it: the first that is not
            dearer, else the cheapest. Calls that start after it is applied; running ones finish.
          </p>
          <Preview preview={preview} />
        </>
      )}
      <input type="hidden" name="chainOnly" value={flag.chainOnly ? "no" : "yes"} />
      <FormActs does={flag.chainOnly ? "Let go" : "Hold to chain"} cancel={path} />
    </form>
  );
}

function Preview({ preview }: { preview: HoldPreview }) {
  const { moves, nowNanoUsdPerHour, thenNanoUsdPerHour } = preview;
  if (moves.length === 0)
    return <p>In the last 15 minutes none of its calls was outside the chain: nothing changes now.</p>;
  return (
    <div>
      <h2>By the calls of the last 15 minutes</h2>
      <p>
        <b>{usdPerHour(nowNanoUsdPerHour)}</b> now, <b>{usdPerHour(thenNanoUsdPerHour)}</b> then.
      </p>
      <ul>
        {moves.map(({ from, to, attempts, nowNanoUsdPerHour: now, thenNanoUsdPerHour: then }) => (
          <li>
            {count(attempts, "call")} for <code>{from}</code>{" "}
            {to === null ? (
              "would be refused: no step of the chain is usable"
            ) : (
              <>
                would go to <code>{to}</code>: {usdPerHour(now)} now, {usdPerHour(then)} then
              </>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}
