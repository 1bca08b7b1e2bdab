/** How much memory another process holds, as the system counts it. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const KIB_PER_MIB = 1024;
const run = promisify(execFile);

/** Resident memory of a process in MiB. Rejects where there is no `ps`, or no such process. */
export async function rssMiB(pid: number): Promise<number> {
  const { stdout } = await run("ps", ["-o", "rss=", "-p", String(pid)]);
  return Math.round(Number(stdout) / KIB_PER_MIB);
}
