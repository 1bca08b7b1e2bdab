/** Who spends a flag's money, and its newest calls. From the calls that are kept; never content. */
import { usd } from "../../domain/alert-text.ts";
import type { CallResource } from "../../api/usage.ts";
import type { Spenders as TopSpenders } from "../../services/usage/top-spenders.ts";
import { Moment } from "../shell/moment.tsx";
import { sharePercent, usdOfCall } from "../text/money.ts";
import { took } from "../text/text.ts";

export function Spenders({ users, sessions }: { users: TopSpenders; sessions: TopSpenders }) {
  return (
    <section class="card" aria-labelledby="spenders-title">
      <h2 id="spenders-title">Who spent it, last hour</h2>
      {users.totalNanoUsd === 0 ? (
        <p class="dim">Nobody: nothing was spent in the last hour, or its calls are no longer kept.</p>
      ) : (
        <>
          <Top title="Users" spenders={users} />
          <Top title="Sessions" spenders={sessions} />
        </>
      )}
    </section>
  );
}

function Top({ title, spenders }: { title: string; spenders: TopSpenders }) {
  if (spenders.top.length === 0) return <p class="dim">{`${title}: the calls name none.`}</p>;
  return (
    <>
      <h3>{title}</h3>
      <ul class="top-list">
        {spenders.top.map(({ name, costNanoUsd }) => (
          <li>
            <code>{name}</code>
            <span>{usd(costNanoUsd)}</span>
            <span class="dim">{shareText(costNanoUsd, spenders.totalNanoUsd)}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

function shareText(part: number, total: number): string {
  const share = sharePercent(part, total);
  return share === 0 && part > 0 ? "< 1 %" : `${share} %`;
}

export function RecentCalls({ calls, nowMs }: { calls: readonly CallResource[]; nowMs: number }) {
  return (
    <section class="card" aria-labelledby="recent-title">
      <h2 id="recent-title">Newest calls</h2>
      {calls.length === 0 ? (
        <p class="dim">No calls yet. They are reported by the guard, or by andon.report().</p>
      ) : (
        <div class="scroll" tabindex={0} role="region" aria-label="Newest calls">
          <table>
            <thead>
              <tr>
                <th scope="col">At</th>
                <th scope="col">Model</th>
                <th scope="col">Outcome</th>
                <th scope="col">Cost</th>
                <th scope="col">Tokens</th>
                <th scope="col">Took</th>
                <th scope="col">User, session</th>
              </tr>
            </thead>
            <tbody>
              {calls.map((call) => (
                <tr>
                  <td>
                    <Moment at={call.at} nowMs={nowMs} exact />
                  </td>
                  <td>
                    <code>{call.model}</code>
                    {call.model === call.requestedModel ? null : <small class="dim"> for {call.requestedModel}</small>}
                  </td>
                  <td>{outcomeText(call)}</td>
                  <td>
                    {usdOfCall(call.costNanoUsd)}
                    {call.exact ? "" : " est."}
                  </td>
                  <td>{`${grouped(call.promptTokens)} in, ${grouped(call.outputTokens)} out`}</td>
                  <td>{took(call.latencyMs)}</td>
                  <td>{[call.user, call.session].filter((one) => one !== null).join(", ") || "none named"}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function grouped(n: number): string {
  return n.toLocaleString("en-US");
}

function outcomeText({ outcome, status, errorType, attempt }: CallResource): string {
  const why = [...(status === null ? [] : [String(status)]), ...(errorType === null ? [] : [errorType])].join(" ");
  const nth = attempt > 1 ? `, attempt ${attempt}` : "";
  return `${outcome}${outcome !== "ok" && why !== "" ? ` (${why})` : ""}${nth}`;
}
