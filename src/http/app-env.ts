/**
 * What a request carries through the handlers. `requestId` is set for every request, `ctx` only behind `authenticate`.
 */
import type { Context } from "hono";
import type { Ctx } from "../deps.ts";

export interface AppEnv {
  Variables: {
    requestId: string;
    ctx: Ctx;
  };
}

export type AppContext = Context<AppEnv>;
