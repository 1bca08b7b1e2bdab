// An empty project of an application: the packed client and public packages, in a folder of its own.
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const readme = readFileSync(join(ROOT, "sdk-client/README.md"), "utf8");

/** A code block under a heading of the client's README, the first unless another is asked for. */
export function blockUnder(heading, index = 0) {
  const [, section] = readme.split(new RegExp(`^#+ ${heading}.*$`, "m"));
  const code = [...(section?.split(/^#+ /m)[0]?.matchAll(/```tsx?\n([^]*?)```/g) ?? [])][index]?.[1];
  if (code === undefined) throw new Error(`sdk-client/README.md has no example ${index + 1} under "${heading}"`);
  return code;
}

/** Makes it and says which versions it has; `remove` takes it away. */
export async function makeProject(packages) {
  const folder = mkdtempSync(join(tmpdir(), "andon-examples-"));
  const pack = ["pack", "--ignore-scripts", "--workspace", "andon-client", "--pack-destination", folder];
  await run("npm", pack, { cwd: ROOT });
  const packed = readdirSync(folder).find((name) => name.endsWith(".tgz"));
  writeFileSync(join(folder, "package.json"), `{"name": "shop", "private": true, "type": "module"}`);
  await run("npm", ["install", "--no-audit", "--no-fund", `./${packed}`, ...packages], { cwd: folder });
  const tree = JSON.parse((await run("npm", ["ls", "--json", "--depth=0"], { cwd: folder })).stdout);
  for (const [name, { version }] of Object.entries(tree.dependencies)) console.log(`${name} ${version}`);
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Type-checks files of it, and writes what they compile to beside them. */
export async function compile(folder, files, more = []) {
  const types = join(folder, "node_modules/@types");
  mkdirSync(types, { recursive: true });
  symlinkSync(join(ROOT, "node_modules/@types/node"), join(types, "node"));
  symlinkSync(join(ROOT, "node_modules/undici-types"), join(folder, "node_modules/undici-types"));
  const strict = ["--strict", "--skipLibCheck", "--target", "es2022", "--module", "nodenext", "--types", "node"];
  const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
  await run(process.execPath, [tsc, ...strict, ...more, ...files], { cwd: folder });
}
