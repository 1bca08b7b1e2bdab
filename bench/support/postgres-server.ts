/** One PostgreSQL server as a child of this process: made, started, stopped. It never outlives the process. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chown, mkdir, rm, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import type { Programs } from "./postgres-programs.ts";

const READY = "database system is ready to accept connections";
const SIGNALS = ["SIGTERM", "SIGHUP"] as const;

export interface ServerOptions {
  programs: Programs;
  databaseDir: string;
  port: number;
  user: string;
  password: string;
  /** Settings for the command line. */
  settings: Readonly<Record<string, string>>;
  /** What the server says. */
  onLog: (text: string) => void;
}

export class PostgresServer {
  readonly #options: ServerOptions;
  #child: ChildProcess | null = null;

  constructor(options: ServerOptions) {
    this.#options = options;
  }

  /** Makes the files of a new cluster. */
  async initialise(): Promise<void> {
    const { programs, databaseDir, user, password } = this.#options;
    const passwordFile = `${databaseDir}-password`;
    await mkdir(databaseDir, { recursive: true });
    await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
    const { uid, gid } = programs.user;
    if (uid !== undefined && gid !== undefined) {
      for (const path of [databaseDir, passwordFile]) await chown(path, uid, gid);
    }
    try {
      await promisify(execFile)(
        programs.initdb,
        [
          `--pgdata=${databaseDir}`,
          `--username=${user}`,
          `--pwfile=${passwordFile}`,
          "--auth=password",
          "--no-sync",
          "--encoding=UTF8",
          "--lc-messages=C",
        ],
        this.#process(),
      );
    } finally {
      await rm(passwordFile);
    }
  }

  /** Resolves when it takes connections of every kind; a standby does not, until it is promoted. */
  async start(): Promise<void> {
    const { programs, databaseDir, port, settings, onLog } = this.#options;
    const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    const child = spawn(programs.postgres, ["-D", databaseDir, "-p", String(port), ...flags], {
      ...this.#process(),
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#child = child;
    this.#endWithParent(child);
    await new Promise<void>((resolve, reject) => {
      child.stderr.on("data", (chunk: Buffer) => {
        const text = chunk.toString();
        onLog(text);
        if (text.includes(READY)) resolve();
      });
      child.once("error", reject);
      child.once("exit", (code, signal) => reject(new Error(`PostgreSQL ended (${code ?? signal})`)));
    });
  }

  /** Shuts down without waiting for its clients. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGINT");
    await exited;
  }

  /** Not the folder of this process: its user may not be allowed to enter that. */
  #process() {
    return { ...this.#options.programs.user, cwd: "/", env: { ...process.env, LC_MESSAGES: "C" } };
  }

  #endWithParent(child: ChildProcess): void {
    const end = () => child.kill("SIGQUIT");
    const endAndDie = (signal: NodeJS.Signals) => {
      end();
      process.kill(process.pid, signal);
    };
    process.once("exit", end);
    for (const signal of SIGNALS) process.once(signal, endAndDie);
    child.once("exit", () => {
      process.off("exit", end);
      for (const signal of SIGNALS) process.off(signal, endAndDie);
    });
  }
}
