/** The signing secret of an installation with an embedded database: made once, readable by its owner only. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SECRET_MIN_CHARS } from "./config.ts";
import { StartError } from "./start-error.ts";

/**
 * The secret kept in the data folder, made with `newSecret` when there is none. Call under the folder's lock.
 * @throws Error when the file is there but is not a secret.
 */
export async function keptSecret(dataDir: string, newSecret: () => string): Promise<string> {
  const file = join(dataDir, "secret");
  try {
    const kept = (await readFile(file, "utf8")).trim();
    // A start that was killed while writing leaves an empty file: nothing was signed with it yet.
    if (kept.length >= SECRET_MIN_CHARS) return kept;
    if (kept !== "")
      throw new StartError(
        `${file} holds no usable secret. Remove it to have a new one made; everybody signs in again then.`,
      );
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error) || error.code !== "ENOENT") throw error;
  }
  const secret = newSecret();
  await writeFile(file, `${secret}\n`, { mode: 0o600, flush: true });
  return secret;
}
