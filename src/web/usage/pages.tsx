/** Usage: what was spent over time and by whom, what caching or batches would save, and the same as CSV. */
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import { usd } from "../../domain/alert-text.ts";
import { type Explored, explore } from "../../services/usage/explore.ts";
import { usageCsv } from "../../services/usage/csv.ts";
import { getSavings, savingsCsv } from "../../services/usage/savings.ts";
import { listFlags } from "../../services/flags/flags.ts";
import type { UsageBucket } from "../../domain/usage-query.ts";
import { windowAt } from "../../domain/window.ts";
import { TimeChart } from "../chart/time-chart.tsx";
import { Field, NO_ERRORS, Select } from "../form/parts.tsx";
import { type PageContext, type PageEnv, serviceContext } from "../shell/page-context.ts";
import { NO_STORE, sendPage } from "../shell/render.tsx";
import { usdLimit } from "../text/money.ts";
import { count } from "../text/text.ts";
import {
  addressOf,
  type AskedWindow,
  askedOf,
  BY_LABELS,
  BYS,
  SPAN_LABELS,
  SPANS,
  type UsageAsked,
  windowOf,
} from "./query.ts";
import { SavingsCard } from "./savings.tsx";
import { PartsTable } from "./table.tsx";
import { UsageTabs } from "./tabs.tsx";

/** What one bar is. */
const BUCKETS = { hour: "hour", day: "hour", week: "day", month: "day", year: "month" } as const;

export function usagePages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();
  app.get("/e/:environment/usage", async (c) => page(c, deps));
  app.get("/e/:environment/usage.csv", async (c) => {
    const { environment } = c.req.param();
    const asked = askedOf((name) => c.req.query(name));
    const { startMs, endMs, period } = windowOf(asked, deps.clock.nowMs());
    const isOver = c.req.query("over") === "time";
    const isSavings = c.req.query("what") === "savings";
    const name = `andon-${isSavings ? "savings" : `usage-by-${asked.by}`}-${environment}-${asked.span}.csv`;
    const only = {
      from: new Date(startMs),
      to: new Date(Math.min(endMs, deps.clock.nowMs() + 1)),
      ...(asked.flag !== "" && { flag: asked.flag }),
      ...(asked.model !== "" && { model: asked.model }),
    };
    const query = {
      ...only,
      groupBy: [asked.by],
      timezone: asked.timezone,
      ...(isOver && { bucket: bucketOfCsv(asked, period) }),
    };
    const disposition = `attachment; filename="${name}"`;
    const headers = { ...NO_STORE, "Content-Type": "text/csv; charset=utf-8", "Content-Disposition": disposition };
    const ctx = serviceContext(c, deps);
    if (isSavings) return c.body(await savingsCsv(ctx, environment, only), 200, headers);
    return c.body(await usageCsv(ctx, environment, query), 200, headers);
  });
  return app;
}

/** As fine as what it is by can be told. */
function bucketOfCsv({ by }: UsageAsked, period: AskedWindow["period"]): UsageBucket {
  if (period === "year") return "day";
  return period === "day" && (by === "flag" || by === "model") ? "minute" : "hour";
}

async function page(c: PageContext, deps: Deps) {
  const { environment = "" } = c.req.param();
  const ctx = serviceContext(c, deps);
  const nowMs = deps.clock.nowMs();
  const asked = askedOf((name) => c.req.query(name));
  const window = windowOf(asked, nowMs);
  const savedBy = asked.by === "model" ? "model" : "flag";
  const only = {
    from: new Date(window.startMs),
    to: new Date(Math.min(window.endMs, nowMs + 1)),
    ...(asked.flag !== "" && { flag: asked.flag }),
    ...(asked.model !== "" && { model: asked.model }),
  };
  const [found, flags, savings] = await Promise.all([
    explore(ctx, environment, {
      ...only,
      bucket: BUCKETS[window.period],
      timezone: asked.timezone,
      by: asked.by,
    }),
    listFlags(ctx, environment),
    getSavings(ctx, environment, { ...only, groupBy: [savedBy] }),
  ]);
  const path = `/e/${environment}/usage`;
  return sendPage(
    c,
    deps,
    { title: "Usage", section: "usage", actor: c.get("actor"), environment },
    <>
      <h1>Usage</h1>
      <UsageTabs base={`/e/${environment}`} tab="usage" />
      <nav class="tabs" aria-label="When">
        {SPANS.map((span) => (
          <a href={addressOf(path, asked, { span })} aria-current={span === asked.span ? "page" : undefined}>
            {SPAN_LABELS[span]}
          </a>
        ))}
      </nav>
      <SpendCard found={found} asked={asked} window={window} />
      <section class="card" aria-labelledby="parts-title">
        <div class="title">
          <h2 id="parts-title">{`By ${BY_LABELS[asked.by].toLowerCase()}`}</h2>
          <p class="dim">
            <a href={addressOf(`${path}.csv`, asked)}>CSV</a>
            {" · "}
            <a href={`${addressOf(`${path}.csv`, asked)}&over=time`}>CSV over time</a>
          </p>
        </div>
        <nav class="tabs" aria-label="By what">
          {BYS.map((by) => (
            <a href={addressOf(path, asked, { by })} aria-current={by === asked.by ? "page" : undefined}>
              {BY_LABELS[by]}
            </a>
          ))}
        </nav>
        <PartsTable found={found} by={asked.by} />
      </section>
      <SavingsCard savings={savings} by={savedBy} csvPath={`${addressOf(`${path}.csv`, asked)}&what=savings`} />
      <form class="card stack" method="get" action={path}>
        <h2>Only some of it</h2>
        <input type="hidden" name="span" value={asked.span} />
        <input type="hidden" name="by" value={asked.by} />
        <div class="row two">
          <Select
            name="flag"
            label="Flag"
            value={asked.flag}
            errors={NO_ERRORS}
            options={[
              { value: "", label: "all flags" },
              ...flags.items.map(({ key, name }) => ({ value: key, label: `${name} (${key})` })),
            ]}
          />
          <Field name="model" label="Model (optional)" value={asked.model} errors={NO_ERRORS} mono />
        </div>
        <Field name="timezone" label="Days of which time zone" value={asked.timezone} errors={NO_ERRORS} />
        <div>
          <button>Show</button>
        </div>
      </form>
    </>,
  );
}

function SpendCard({ found, asked, window }: { found: Explored; asked: UsageAsked; window: AskedWindow }) {
  const { total, parts, buckets } = found;
  const [top] = parts;
  const isMarked = (asked.by === "flag" || asked.by === "model") && parts.length > 1 && top !== undefined;
  const of = [...(asked.flag === "" ? [] : [asked.flag]), ...(asked.model === "" ? [] : [asked.model])].join(", ");
  const title = `Spent ${SPAN_LABELS[asked.span].toLowerCase()}${of === "" ? "" : `: ${of}`}`;
  const failed = total.attempts === 0 ? 0 : (100 * total.errors) / total.attempts;
  return (
    <section class="card" aria-labelledby="spent-title">
      <div class="title">
        <h2 id="spent-title">{title}</h2>
        <p class="dim">
          <b>{usd(Number(total.costNanoUsd))}</b> · {count(total.calls, "call")} ·{" "}
          {total.errors === 0 ? "no errors" : `${failed < 0.1 ? "under 0.1" : failed.toFixed(1)} % of attempts failed`}
        </p>
      </div>
      {total.attempts === 0 ? (
        <p>
          No calls were counted in this time
          {found.unknown.length === 0 ? "." : `: ${found.unknown.join("; ")}`}
        </p>
      ) : (
        <>
          <TimeChart
            id="spent"
            title={title}
            description={`${usd(Number(total.costNanoUsd))} in all; the figures are in the table below.`}
            startMs={window.startMs}
            endMs={window.endMs}
            period={window.period}
            timezone={asked.timezone}
            bars={buckets.map(({ atMs, costNanoUsd, topNanoUsd }) => ({
              fromMs: atMs,
              toMs: windowAt(BUCKETS[window.period], asked.timezone, atMs).endMs,
              value: Number(costNanoUsd),
              part: isMarked ? Number(topNanoUsd) : 0,
            }))}
            valueText={usdLimit}
          />
          <p class="dim">
            {`USD ${{ hour: "an hour", day: "a day", month: "a month" }[BUCKETS[window.period]]}`}
            {isMarked ? (
              <>
                {"; the lower part of each bar is "}
                <code>{top.name}</code>
              </>
            ) : null}
          </p>
        </>
      )}
    </section>
  );
}
