/** The version of this installation, from its package.json. */
import { existsSync, readFileSync } from "node:fs";

/** Beside `src` when run from source, beside `dist` when built. */
const CANDIDATES = ["../package.json", "../../package.json"] as const;

/** The version, like `0.1.0`. Throws when the installation is incomplete. */
export function version(): string {
  for (const candidate of CANDIDATES) {
    const file = new URL(candidate, import.meta.url);
    if (!existsSync(file)) continue;
    const parsed: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (typeof parsed === "object" && parsed !== null && "version" in parsed) return String(parsed.version);
  }
  throw new Error("package.json is missing: this installation of Andon is incomplete.");
}
