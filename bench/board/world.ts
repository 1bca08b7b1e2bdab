/** What the benches of the board measure: a real server on PostgreSQL with two hundred flags, and its visitor. */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { type AndonServer, startAndonServer } from "../support/andon-server.ts";
import { signIn } from "../support/open-board.ts";
import { type Cluster, startCluster } from "../support/postgres.ts";

export const BOARD_FLAGS = 200;
/** On a quick run of what does not depend on their number. */
export const QUICK_FLAGS = 20;
export const BOARD_PATH = "/e/production";
const SECRET_BYTES = 32;
/** Of `/proc/<pid>/stat`: a tick of the kernel's clock. */
const TICK_MS = 10;

export interface BoardWorld {
  andon: AndonServer;
  cluster: Cluster;
  databaseUrl: string;
  /** The session of an operator, for the header `Cookie`. */
  cookie: string;
  close(): Promise<void>;
}

export async function startBoardWorld(flags: number): Promise<BoardWorld> {
  const cluster = await startCluster({ isDurable: true });
  try {
    const databaseUrl = await cluster.createDatabase();
    const andon = await startOn(databaseUrl, flags);
    const close = async () => {
      await andon.close();
      await cluster.stop();
    };
    return { andon, cluster, databaseUrl, cookie: await signIn(andon.url, andon.adminToken), close };
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

/** A server on this database with so many flags. */
export function startOn(databaseUrl: string, flags: number): Promise<AndonServer> {
  const secret = randomBytes(SECRET_BYTES).toString("base64url");
  return startAndonServer({ DATABASE_URL: databaseUrl, ANDON_SECRET: secret, ANDON_LOG_LEVEL: "warn" }, { flags });
}

/** Processor time that the server has used, in milliseconds. */
export async function cpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const [user = "", system = ""] = stat
    .slice(stat.lastIndexOf(") ") + 2)
    .split(" ")
    .slice(11, 13);
  return (Number(user) + Number(system)) * TICK_MS;
}
