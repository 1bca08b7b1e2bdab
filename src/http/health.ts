/** For load balancers and supervisors. No token: nothing here tells anything about flags. */
import { Hono } from "hono";
import type { Deps, SnapshotStore } from "../deps.ts";
import { AppError } from "../errors.ts";
import type { AppEnv } from "./app-env.ts";

/**
 * `/healthz`: the process answers. `/readyz`: it can serve snapshots, also from memory while the database is away; 503
 * before the first are loaded and once it is stopping.
 */
export function healthRoutes(deps: Deps): Hono<AppEnv> {
  return new Hono<AppEnv>()
    .get("/healthz", (c) => c.json({ status: "ok" }, 200, NO_STORE))
    .get("/readyz", (c) => {
      const { snapshots } = deps;
      if (snapshots.draining) throw new AppError("NOT_READY", "This server is stopping.");
      if (snapshots.all().length === 0) throw new AppError("NOT_READY", "No snapshot is loaded yet.");
      const staleSeconds = snapshots.staleSeconds();
      return c.json({ status: "ready", database: databaseOf(snapshots), staleSeconds }, 200, NO_STORE);
    });
}

/** `ok` is said only while a change would be taken. */
function databaseOf(snapshots: SnapshotStore): "ok" | "read-only" | "away" {
  if (snapshots.readOnly) return "read-only";
  return snapshots.staleSeconds() === 0 ? "ok" : "away";
}

const NO_STORE = { "Cache-Control": "no-store" };
