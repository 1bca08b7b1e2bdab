/** The button that has the running message batches of a flag canceled. */
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import { counted } from "../../domain/message-batch.ts";
import { cancelBatches } from "../../services/batches/cancel.ts";
import { done } from "../shell/act.tsx";
import { type PageEnv, serviceContext } from "../shell/page-context.ts";

export function batchPages(deps: Deps): Hono<PageEnv> {
  return new Hono<PageEnv>().post("/e/:environment/flags/:key/batches/cancel", async (c) => {
    const { environment, key } = c.req.param();
    const { value } = await cancelBatches(serviceContext(c, deps), environment, key, null);
    const words =
      value.asked === 0
        ? "No batch is running that nobody has asked to cancel."
        : `Asked to cancel ${counted(value.asked)}.`;
    return done(c, `/e/${environment}/flags/${key}`, words);
  });
}
