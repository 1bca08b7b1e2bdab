/** The client as an application gets it: packed from this clone, in ESM and CommonJS, with types; told the same everywhere. */
import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { INSTALL_LINES } from "../../src/web/board/first-steps.tsx";
import { temporaryFolder } from "../support/child-server.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SLOW_MS = 120_000;
const exec = promisify(execFile);
const folder = temporaryFolder();
const readme = () => readFile(join(ROOT, "README.md"), "utf8");

/** What is in the way of a newcomer who does what the lines say. */
beforeAll(async () => {
  const { path } = await folder;
  // The build is there already, and other tests use it at the moment.
  await exec("npm", ["pack", "--ignore-scripts", "--workspace", "andon-client", "--pack-destination", path], {
    cwd: ROOT,
  });
  const [packed] = (await readdir(path)).filter((name) => name.endsWith(".tgz"));
  expect(INSTALL_LINES[3]).toContain(`./${packed ?? ""} `);
  await writeFile(join(path, "package.json"), `{"name": "shop", "private": true}`);
  await exec("npm", ["install", "--offline", "--no-audit", `./${packed ?? ""}`], { cwd: path });
  for (const scope of ["@anthropic-ai", "@types"]) await mkdir(join(path, "node_modules", scope), { recursive: true });
  for (const name of ["@anthropic-ai/sdk", "@types/node"]) {
    await symlink(join(ROOT, "node_modules", name), join(path, "node_modules", name));
  }
}, SLOW_MS);
afterAll(async () => {
  await (await folder).remove();
});

describe("the client from this clone", () => {
  it(
    "compiles the README's lines under strict TypeScript as ESM and as CommonJS, and runs as both",
    async () => {
      const { path } = await folder;
      const [, block = ""] = /```ts\n([^]*?)```/.exec(await readme()) ?? [];
      const lines = block.slice(0, block.indexOf("await claude")).replace("{ middleware", `{ apiKey: "x", middleware`);
      expect(lines).toContain("guard(andon");
      const code = `${lines}\nconsole.log(typeof claude.messages.create, andon.isEnabled("support-chat"));\n`;
      await Promise.all(["app.mts", "app.cts"].map((name) => writeFile(join(path, name), code)));
      const strict = ["--strict", "--target", "es2022", "--module", "nodenext", "--types", "node"];
      await exec(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), ...strict, "app.mts", "app.cts"], {
        cwd: path,
      });
      for (const name of ["app.mjs", "app.cjs"]) {
        const { stdout } = await exec(process.execPath, [name], {
          cwd: path,
          env: { ANDON_TOKEN: "andon_sdk_test", ANDON_URL: "http://127.0.0.1:1" },
        });
        expect(stdout, name).toBe("function true\n");
      }
    },
    SLOW_MS,
  );

  it(
    "compiles without the types of Node: the core has none, and its options and errors neither",
    async () => {
      const { path } = await folder;
      const code = `
        import { Andon, isFeatureDisabled, type AndonOptions, type Decision } from "andon-client";
        const options: AndonOptions = { fetch: (url, init) => fetch(url, init) };
        const andon = new Andon(options);
        export const decision: Decision = andon.evaluate("support-chat", { targetingKey: "user-1" });
        export const isOff: boolean = isFeatureDisabled(new Error("no"));
        await andon.close();
      `;
      await writeFile(join(path, "edge.mts"), code);
      const strict = ["--strict", "--noEmit", "--target", "es2022", "--module", "nodenext", "--types", ""];
      await exec(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), ...strict, "edge.mts"], {
        cwd: path,
      });
    },
    SLOW_MS,
  );

  it("adds to an application's bundle no more than it may", async () => {
    const { stdout } = await exec(process.execPath, [join(ROOT, "scripts/size.mjs"), "--json"]);
    const bundles: { name: string; bytes: number }[] = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(bundles.map(({ name }) => name)).toEqual([
      "poll and evaluate alone",
      "andon-client",
      "andon-client/anthropic",
    ]);
    const [alone, core] = bundles.map(({ bytes }) => bytes);
    // What reports is not in a bundle that reports nothing.
    expect(alone).toBeLessThan(0.7 * (core ?? 0));
  });

  it("is installed by the same lines on the board, in the README and in its own", async () => {
    const its = await readFile(join(ROOT, "sdk-client/README.md"), "utf8");
    for (const text of [await readme(), its]) expect(text).toContain(INSTALL_LINES.join("\n"));
    for (const text of [await readme(), its]) expect(text).not.toMatch(/npm (?:i|install|add) andon/);
  });
});
