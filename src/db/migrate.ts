/** Applies the migrations at boot, in one transaction; where the folder is, from source and from the build. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Beside `src` when run from source, beside `dist` when built. */
const CANDIDATES = ["../../migrations/", "../../../migrations/"] as const;

/** The folder of the migrations. Throws when the installation is incomplete. */
export function migrationsFolder(): string {
  for (const candidate of CANDIDATES) {
    const folder = new URL(candidate, import.meta.url);
    if (existsSync(new URL("meta/_journal.json", folder))) return fileURLToPath(folder);
  }
  throw new Error("The folder `migrations` is missing: this installation of Andon is incomplete.");
}
