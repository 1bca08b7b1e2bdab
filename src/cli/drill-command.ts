/** `andon drill`: starts a drill, waits for its end and says what it has proven. */
import { createApiClient } from "./api-client.ts";
import { type DrillAnswer, drillAnswer } from "./answers.ts";
import { baseOf, type Common, show } from "./commands.ts";
import { CliError, EXIT_FAILED, EXIT_OK, EXIT_UNCONFIRMED, type Io } from "./io.ts";

const ASK_EVERY_MS = 200;
/** Beyond its own end: whichever server has the jobs ends it within a second, or after it has come back. */
const GRACE_MS = 30_000;

/** EXIT_OK when every instance has answered, EXIT_UNCONFIRMED when some have not, EXIT_FAILED when it was interrupted. */
export async function drill(io: Io, flag: string, options: Common & { seconds?: number }): Promise<number> {
  const api = createApiClient(io);
  const body = options.seconds === undefined ? {} : { seconds: options.seconds };
  const path = `${baseOf(options)}/flags/${encodeURIComponent(flag)}/drill`;
  let now = await api.call(path, drillAnswer, { method: "POST", body });
  const lastMs = io.monotonicMs() + Date.parse(now.endsAt) - Date.parse(now.startedAt) + GRACE_MS;
  while (now.state === "running") {
    if (io.monotonicMs() > lastMs) throw new CliError(`The drill has not ended. Ask again: andon status ${flag}`);
    io.progress?.(`${flag} is off for a drill …`);
    await io.sleep(ASK_EVERY_MS);
    now = await api.call(`${baseOf(options)}/drills/${now.id}`, drillAnswer);
  }
  show(io, options, now, drillLines(now));
  if (now.state === "proven") return EXIT_OK;
  return now.state === "unproven" ? EXIT_UNCONFIRMED : EXIT_FAILED;
}

function drillLines({ flag, state, applied, live, lastMs, missing, note }: DrillAnswer): string[] {
  const counted = applied === null || live === null ? "" : `: ${String(applied)} of ${String(live)} instances applied`;
  const within = lastMs === null || applied === 0 ? "" : `, the last within ${String(lastMs)} ms`;
  return [
    `${flag}: drill ${state}${counted}${within}.`,
    ...(note === null ? [] : [note]),
    ...(missing.length === 0 ? [] : [`Not heard: ${missing.join(", ")}`]),
  ];
}
