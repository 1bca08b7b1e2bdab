/** Runs chapters on a stage and takes the stage down again; what the demo's command and its tests both enter by. */
import type { Chapter } from "./chapter.ts";
import { Narrator } from "./narrator.ts";
import { setTheStage, type Stage } from "./stage.ts";
import { STORY } from "./story.ts";

export interface DemoOptions {
  readonly print: (line: string) => void;
  chapters?: readonly Chapter[];
  /** Called after the table, before the stage is taken down. */
  afterwards?(stage: Stage, narrator: Narrator): Promise<void>;
  /** Takes the stage down early. */
  signal?: AbortSignal;
}

/** Tells the story. The claims that did not hold; throws when the stage could not be set or was taken down early. */
export async function runDemo(options: DemoOptions): Promise<readonly string[]> {
  const narrator = new Narrator(options.print);
  narrator.say("Andon: the cord for AI features. Everything runs on this machine; nothing leaves it.");
  const stage = await setTheStage((text) => narrator.say(text));
  try {
    await orAborted(tell(stage, narrator, options), options.signal);
    return narrator.failures;
  } finally {
    await stage.close();
  }
}

async function tell(stage: Stage, narrator: Narrator, options: DemoOptions): Promise<void> {
  for (const chapter of options.chapters ?? STORY) await chapter(stage, narrator);
  narrator.conclude();
  await options.afterwards?.(stage, narrator);
}

/** The promise, or a rejection as soon as the signal aborts; what the promise comes to after that is nobody's concern. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new Error("stopped before the end"));
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
