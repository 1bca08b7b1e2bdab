// What publint and "are the types wrong?" say of the packed client, and its size: `npm run check:package`. They come from the registry, pinned.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "andon-package-"));
const run = (...command) => spawnSync(command[0], command.slice(1), { cwd: ROOT, stdio: "inherit" }).status;

try {
  run("npm", "pack", "--silent", "--ignore-scripts", "--workspace", "andon-client", "--pack-destination", folder);
  const packed = join(folder, readdirSync(folder)[0]);
  const publint = run("npx", "--yes", "publint@0.3.25", "--strict", packed);
  // Node 20 resolves `exports`; the resolution of Node 10 knows no such entries, nor does TypeScript 7.
  const types = run("npx", "--yes", "@arethetypeswrong/cli@0.18.5", packed, "--profile", "node16");
  const size = run("node", "scripts/size.mjs");
  process.exitCode = publint === 0 && types === 0 && size === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
