/** Keeps the recent calls within their bound: oftener than the rest is pruned, because they are what grows fastest. */
import { pruneRecentCalls } from "../services/usage/prune.ts";
import type { Job } from "./runner.ts";

export const recentUsageJob: Job = { name: "recent-usage", everyMs: 10_000, isLong: true, run: pruneRecentCalls };
