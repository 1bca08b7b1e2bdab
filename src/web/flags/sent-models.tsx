/** What the calls of a flag really use, where its row would say another model; and the two ways on. */
import type { FlagResource, SentModelResource } from "../../api/flag.ts";
import { listed } from "../text/text.ts";

export interface SentModelsProps {
  flag: FlagResource;
  /** Of the environment: `/e/production`. */
  base: string;
  /** The ways on are edits of chain and flag. */
  admin: boolean;
}

export function SentModels({ flag, base, admin }: SentModelsProps) {
  if (flag.sends.length === 0) return null;
  // By name, not by count: the line stands still while calls come and go.
  const names = (why: SentModelResource["why"]): string[] =>
    flag.sends
      .filter((sent) => sent.why === why)
      .map(({ model }) => model)
      .toSorted();
  const [outside, passed, lower] = [names("OUTSIDE"), names("PASSED"), names("LOWER")];
  const probed = names("BREAKER");
  const [first] = outside;
  return (
    <p class="lag sends">
      {outside.length === 0 ? null : (
        <>
          Asks for <code>{listed(outside)}</code>, outside its chain.{" "}
        </>
      )}
      {passed.length === 0 ? null : (
        <>
          Still sends <code>{listed(passed)}</code>, which its chain has stepped past.{" "}
        </>
      )}
      {probed.length === 0 ? null : (
        <>
          A few calls use <code>{listed(probed)}</code>, to probe it or for want of another.{" "}
        </>
      )}
      {lower.length === 0 ? null : (
        <>
          All its calls use <code>{listed(lower)}</code>, further down its chain.{" "}
        </>
      )}
      {first === undefined || !admin || flag.chain === null ? null : (
        <>
          <a href={`${base}/chains/${flag.chain}?add=${encodeURIComponent(first)}`}>Add it to the chain…</a> or{" "}
          <a href={`${base}/flags/${flag.key}/hold`}>hold to chain…</a>
        </>
      )}
    </p>
  );
}
