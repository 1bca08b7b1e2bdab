/** Removes what nobody asks for any more: old receipts and revisions, instances long gone. */
import { pruneReceipts } from "../services/instances.ts";
import type { Job } from "./runner.ts";

export const pruneJob: Job = { name: "prune", everyMs: 60_000, run: (deps) => pruneReceipts(deps.db) };
