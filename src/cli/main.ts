#!/usr/bin/env node
/** The `andon` command's process: hands the outside world to `program.ts` and exits with its code. */
import { setTimeout as sleep } from "node:timers/promises";
import { readEnvironment } from "../config.ts";
import { version } from "../version.ts";
import type { Io } from "./io.ts";
import { launch } from "./launch.ts";
import { run } from "./program.ts";
import { printSignInLink } from "./sign-in-link.ts";

const io: Io = {
  env: process.env,
  out: (line) => process.stdout.write(`${line}\n`),
  err: (line) => process.stderr.write(`${line}\n`),
  progress: process.stderr.isTTY ? (line) => process.stderr.write(`\r\u001B[K${line}\r`) : null,
  fetch,
  monotonicMs: () => performance.now(),
  sleep: (delayMs) => sleep(delayMs),
};

process.exitCode = await run(
  process.argv.slice(2),
  io,
  {
    serve: () => launch("main.js", []),
    demo: (args) => launch("demo/main.js", args),
    signInLink: (printing) => printSignInLink(printing, readEnvironment),
  },
  version(),
);
