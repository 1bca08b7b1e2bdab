// Copies what tsc does not: the board's static files and the lock's worker, next to the compiled server. The
// migrations are read from their own folder.
import { cpSync, rmSync } from "node:fs";

const target = new URL("../dist/src/web/assets/", import.meta.url);
rmSync(target, { recursive: true, force: true });
cpSync(new URL("../src/web/assets/", import.meta.url), target, { recursive: true });
cpSync(
  new URL("../src/db/folder-lock-worker.mjs", import.meta.url),
  new URL("../dist/src/db/folder-lock-worker.mjs", import.meta.url),
);
