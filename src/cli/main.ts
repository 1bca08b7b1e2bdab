#!/usr/bin/env node
/** The `andon` command's process: hands the outside world to `program.ts` and exits with its code. */
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { readEnvironment } from "../config.ts";
import { version } from "../version.ts";
import type { Io } from "./io.ts";
import { launch } from "./launch.ts";
import { run } from "./program.ts";

for (const stream of [process.stdout, process.stderr]) {
  // Who reads no more (`andon status | head -1`) loses words; what the command is about goes on, and its exit code tells.
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
}

const io: Io = {
  env: process.env,
  out: (line) => process.stdout.write(`${line}\n`),
  err: (line) => process.stderr.write(`${line}\n`),
  progress: process.stderr.isTTY ? (line) => process.stderr.write(`\r\u001B[K${line}\r`) : null,
  ask: process.stdin.isTTY && process.stderr.isTTY ? (question) => ask(question) : null,
  ...(process.stdin.isTTY && process.stderr.isTTY && { askHidden }),
  stdin: () => text(process.stdin),
  fetch,
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (delayMs) => sleep(delayMs),
};

function askHidden(question: string): Promise<string | null> {
  process.stderr.write(question);
  return ask("", new Writable({ write: (_chunk, _encoding, done) => done() })).finally(() =>
    process.stderr.write("\n"),
  );
}

function ask(question: string, output: NodeJS.WritableStream = process.stderr): Promise<string | null> {
  return new Promise((resolve) => {
    const terminal = createInterface({ input: process.stdin, output, terminal: true });
    // Ctrl-C and Ctrl-D close it.
    terminal.once("close", () => resolve(null));
    terminal.question(question, (answer) => {
      resolve(answer);
      terminal.close();
    });
  });
}

process.exitCode = await run(
  process.argv.slice(2),
  io,
  {
    serve: () => launch("main.js", []),
    demo: (args) => launch("demo/main.js", args),
    // Asked for now and then, and all of the database with it: no other command waits for that.
    signInLink: async (printing) => (await import("../sign-in-link.ts")).printSignInLink(printing, readEnvironment),
  },
  version(),
);
