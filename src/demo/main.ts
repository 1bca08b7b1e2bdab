/** `npm run demo`: exits 0 when every claim held, 1 when one did not or the demo could not run, 130 on Ctrl-C. */
import { once } from "node:events";
import { parseArgs } from "node:util";
import { runDemo } from "./story/run.ts";
import { ENVIRONMENT, type Stage } from "./story/stage.ts";

const HELP = `Usage: npm run demo [-- --keep]

Shows Andon end to end on this machine, in under a minute: a kill that reaches running calls, restore, downgrade,
an overloaded model, the server killed and started again, and a feature that runs away until its daily budget turns it
down and off by itself. Exits non-zero when anything it claims does not hold.

  --keep   leave everything running afterwards, for a look at the board
  --help   this text
`;

const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;

process.exitCode = await main();

async function main(): Promise<number> {
  const keep = readArguments();
  if (typeof keep === "number") return keep;
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stop.abort());
  try {
    const failures = await runDemo({
      print,
      signal: stop.signal,
      ...(keep ? { afterwards: (stage: Stage) => leaveRunning(stage, stop.signal) } : {}),
    });
    return failures.length === 0 ? 0 : 1;
  } catch (error) {
    if (stop.signal.aborted) return EXIT_INTERRUPTED;
    process.stderr.write(`The demo could not go on: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Whether to keep it running, or the exit code when there is nothing to run. */
function readArguments(): boolean | number {
  try {
    const { values } = parseArgs({ options: { keep: { type: "boolean" }, help: { type: "boolean", short: "h" } } });
    if (values.help !== true) return values.keep === true;
    process.stdout.write(HELP);
    return 0;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${HELP}`);
    return EXIT_USAGE;
  }
}

/** Turns the traffic on again and waits for Ctrl-C. */
async function leaveRunning(stage: Stage, signal: AbortSignal): Promise<void> {
  const { api, server } = stage;
  await api.change("POST", `${ENVIRONMENT}/restore`, { reason: "Demo: left running for a look" });
  print("");
  print(`Board:    ${server.url}`);
  print(
    server.signInLink === null ? `Sign in:  with the token ${server.adminToken}` : `Sign in:  ${server.signInLink}`,
  );
  print("Stop:     Ctrl-C");
  if (!signal.aborted) await once(signal, "abort");
}
