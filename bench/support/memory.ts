/** How much memory is held: by another process, as the system counts it, and by what lives in this one. */
import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const KIB_PER_MIB = 1024;
/** Finalizers run in turns of their own, and free what the next collection takes. */
const COLLECTIONS = 4;
const run = promisify(execFile);

/** Resident memory of a process in MiB. Rejects where there is no `ps`, or no such process. */
export async function rssMiB(pid: number): Promise<number> {
  const { stdout } = await run("ps", ["-o", "rss=", "-p", String(pid)]);
  return Math.round(Number(stdout) / KIB_PER_MIB);
}

/** Bytes of this process's heap that something still refers to. */
export async function heapBytes(): Promise<number> {
  const collect = collector();
  for (let time = 0; time < COLLECTIONS; time += 1) {
    collect();
    await sleep(20);
  }
  return process.memoryUsage().heapUsed;
}

/** The garbage collector, without a flag for the whole process. */
function collector(): () => void {
  setFlagsFromString("--expose-gc");
  const found: unknown = runInNewContext("gc");
  if (typeof found !== "function") throw new Error("the garbage collector cannot be called");
  return () => void Reflect.apply(found, undefined, []);
}
