/**
 * Why something is done, as the board asks it: after a kill, which waits for nothing, and before everything else.
 * Asked on a terminal only; in a pipe nothing ever waits for an answer.
 */
import { REASONS } from "../domain/reasons.ts";
import { noteAnswer } from "./answers.ts";
import { type ApiClient, isKillToken } from "./api-client.ts";
import { CliError, EXIT_USAGE, type Io } from "./io.ts";

/** Asks why after a kill and adds it to those very changes: what has been restored meanwhile stays restored. */
export async function askAfterKill(io: Io, api: ApiClient, base: string, auditIds: readonly number[]): Promise<void> {
  if (io.ask === null || isKillToken(io)) {
    io.err("No reason was given. Say why on the board, or with --reason next time.");
    return;
  }
  const reason = await askOnce(io, io.ask, REASONS, "Enter alone: say it later, on the board.");
  if (reason === null || reason === "") return;
  try {
    for (const auditId of auditIds)
      await api.call(`${base}/audit/${String(auditId)}/reason`, noteAnswer, { method: "POST", body: { reason } });
    io.out(`Noted: ${reason}`);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    io.err(`The kill stands. Its reason was not noted: ${error.message}`);
  }
}

/** The reason of --reason, or what is answered on a terminal. CliError when there is none: nothing was done yet. */
export async function requireReason(io: Io, given: string | undefined, presets: readonly string[]): Promise<string> {
  if (given !== undefined) return given;
  if (io.ask === null) throw new CliError("Give --reason <text>: why; the next on-call reads it.", EXIT_USAGE);
  for (;;) {
    const reason = await askOnce(io, io.ask, presets, "Ctrl-C: change nothing.");
    if (reason === null) throw new CliError("Nothing was changed.", EXIT_USAGE);
    if (reason !== "") return reason;
  }
}

/** A preset by its number or own words; null when there is nobody to answer any more. */
async function askOnce(
  io: Io,
  ask: NonNullable<Io["ask"]>,
  presets: readonly string[],
  hint: string,
): Promise<string | null> {
  io.err(`Why? ${presets.map((preset, at) => `${String(at + 1)} ${preset}`).join(" · ")} · or your own words. ${hint}`);
  const answer = (await ask("> "))?.trim() ?? null;
  return answer === null ? null : (presets[Number(answer) - 1] ?? answer);
}
