// Copies what tsc does not: the board's static files and the migrations are read from their own folders, so only
// third-party browser files are gathered here, next to the compiled server.
import { copyFileSync, cpSync, existsSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const target = new URL("../dist/src/web/assets/", import.meta.url);
mkdirSync(target, { recursive: true });
const source = new URL("../src/web/assets/", import.meta.url);
if (existsSync(source)) cpSync(source, target, { recursive: true });
copyFileSync(require.resolve("htmx.org/dist/htmx.min.js"), new URL("htmx.min.js", target));
