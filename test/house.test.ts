/** The rules of the house are held by `npm run check`: each is broken here, in a folder of its own, and the linter says so. */
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const IMPORTS = "andon(imports)";
const HIDDEN = "andon(no-hidden-source)";

const importing = (specifier: string) => `import { a } from "${specifier}";\nexport const b = a;\n`;
const importingType = (specifier: string) => `import type { A } from "${specifier}";\nexport type B = A;\n`;

interface Case {
  file: string;
  text: string;
  /** The rule that it breaks; null: it is as it should be. */
  rule: string | null;
}

const CASES: Record<string, Case> = {
  "a page that imports the schema": {
    file: "src/web/flags/a.tsx",
    text: importing("../../db/schema/state.ts"),
    rule: IMPORTS,
  },
  "a page that imports a type of the schema": {
    file: "src/web/flags/b.tsx",
    text: importingType("../../db/types.ts"),
    rule: IMPORTS,
  },
  "a page that imports the query builder": {
    file: "src/web/flags/c.tsx",
    text: importing("drizzle-orm"),
    rule: IMPORTS,
  },
  "a page that imports a route": {
    file: "src/web/flags/d.tsx",
    text: importing("../../http/operator/flags.ts"),
    rule: IMPORTS,
  },
  "a page that imports a verb": {
    file: "src/web/flags/e.tsx",
    text: importing("../../services/flags/switches.ts"),
    rule: null,
  },
  "a route that imports the schema": {
    file: "src/http/operator/a.ts",
    text: importing("../../db/schema/budgets.ts"),
    rule: IMPORTS,
  },
  "a route that imports a page": {
    file: "src/http/operator/b.ts",
    text: importing("../../web/flags/page.tsx"),
    rule: IMPORTS,
  },
  "a route that fetches the schema by import()": {
    file: "src/http/operator/c.ts",
    text: `export const b = import("../../db/schema/budgets.ts");\n`,
    rule: IMPORTS,
  },
  "a verb that imports a route": {
    file: "src/services/flags/a.ts",
    text: importing("../../http/problem.ts"),
    rule: IMPORTS,
  },
  "a verb that sends alerts itself": {
    file: "src/services/flags/b.ts",
    text: importing("../../adapters/notify/post.ts"),
    rule: IMPORTS,
  },
  "a verb that imports the client's guard": {
    file: "src/services/flags/c.ts",
    text: importing("../../../sdk-client/src/guard/call.ts"),
    rule: IMPORTS,
  },
  "a verb that asks the evaluator": {
    file: "src/services/flags/d.ts",
    text: importing("../../../sdk-client/src/evaluate/evaluate.ts"),
    rule: null,
  },
  "a schema of the API that imports a verb": {
    file: "src/api/a.ts",
    text: importing("../services/flags/flags.ts"),
    rule: IMPORTS,
  },
  "a table that imports a verb": {
    file: "src/db/schema/a.ts",
    text: importing("../../services/flags/flags.ts"),
    rule: IMPORTS,
  },
  "a job that imports the schema": { file: "src/jobs/a.ts", text: importing("../db/schema/state.ts"), rule: IMPORTS },
  "a command that imports a verb": {
    file: "src/cli/a.ts",
    text: importing("../services/flags/flags.ts"),
    rule: IMPORTS,
  },
  "an adapter that imports a verb": {
    file: "src/adapters/notify/a.ts",
    text: importing("../../services/flags/flags.ts"),
    rule: IMPORTS,
  },
  "a demo that reaches into the server": {
    file: "src/demo/fleet/a.ts",
    text: importing("../../services/flags/flags.ts"),
    rule: IMPORTS,
  },
  "domain that imports a verb": {
    file: "src/domain/a.ts",
    text: importing("../services/flags/flags.ts"),
    rule: IMPORTS,
  },
  "domain that imports Node": { file: "src/domain/b.ts", text: importing("node:fs"), rule: IMPORTS },
  "domain that imports again what is exported elsewhere": {
    file: "src/domain/c.ts",
    text: `export { a } from "../db/types.ts";\n`,
    rule: IMPORTS,
  },
  "domain that imports the pricer": {
    file: "src/domain/d.ts",
    text: importing("../../sdk-client/src/pricing/price.ts"),
    rule: null,
  },
  "domain that waits": {
    file: "src/domain/e.ts",
    text: "setTimeout(() => {}, 1);\n",
    rule: "eslint(no-restricted-globals)",
  },
  "a client that imports the server": {
    file: "sdk-client/src/guard/a.ts",
    text: importing("../../../src/errors.ts"),
    rule: IMPORTS,
  },
  "the client's core that imports the guard": {
    file: "sdk-client/src/andon.ts",
    text: importing("./guard/call.ts"),
    rule: IMPORTS,
  },
  "the client's poller that imports the guard": {
    file: "sdk-client/src/sync/a.ts",
    text: importing("../guard/call.ts"),
    rule: IMPORTS,
  },
  "the client's evaluator that imports the poller": {
    file: "sdk-client/src/evaluate/a.ts",
    text: importing("../sync/poller.ts"),
    rule: IMPORTS,
  },
  "the wire that imports the evaluator": {
    file: "sdk-client/src/wire/a.ts",
    text: importing("../evaluate/evaluate.ts"),
    rule: IMPORTS,
  },
  "a verb that reads the clock": {
    file: "src/services/flags/e.ts",
    text: "export const b = Date.now();\n",
    rule: HIDDEN,
  },
  "a verb that makes a moment of now": {
    file: "src/services/flags/f.ts",
    text: "export const b = new Date();\n",
    rule: HIDDEN,
  },
  "a verb that makes a date of a moment it was given": {
    file: "src/services/flags/g.ts",
    text: "export const b = (nowMs: number) => new Date(nowMs);\n",
    rule: null,
  },
  "a route that measures by itself": {
    file: "src/http/a.ts",
    text: "export const b = performance.now();\n",
    rule: HIDDEN,
  },
  "a job that throws dice": { file: "src/jobs/b.ts", text: "export const b = Math.random();\n", rule: HIDDEN },
  "a page that makes an id": {
    file: "src/web/flags/f.tsx",
    text: "export const b = globalThis.crypto.randomUUID();\n",
    rule: HIDDEN,
  },
  "a verb that takes chance from Node": {
    file: "src/services/flags/h.ts",
    text: `import { randomBytes } from "node:crypto";\nexport const b = randomBytes(1);\n`,
    rule: HIDDEN,
  },
  "the client's evaluator that reads the clock": {
    file: "sdk-client/src/evaluate/b.ts",
    text: "export const b = Date.now();\n",
    rule: HIDDEN,
  },
  "the clock that reads the clock": { file: "src/clock.ts", text: "export const b = Date.now();\n", rule: null },
  "a verb that reads the environment": {
    file: "src/services/flags/i.ts",
    text: `export const b = process.env["HOME"];\n`,
    rule: "node(no-process-env)",
  },
  "the configuration that reads the environment": {
    file: "src/config.ts",
    text: `export const b = process.env["HOME"];\n`,
    rule: null,
  },
  "a type that imports from who imports it": {
    file: "src/domain/f.ts",
    text: importingType("./g.ts"),
    rule: "import(no-cycle)",
  },
  "and its other half": {
    file: "src/domain/g.ts",
    text: `import type { B } from "./f.ts";\nexport type A = B | null;\n`,
    rule: "import(no-cycle)",
  },
};

const Report = z.object({ diagnostics: z.array(z.object({ code: z.string(), filename: z.string() })) });

let folder: string;
let broken: Map<string, string[]>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "andon-house-"));
  const config: { options: object } = JSON.parse(await readFile(join(ROOT, ".oxlintrc.json"), "utf8"));
  // Types are what the other half of `npm run check` looks at, and need the whole tree.
  await writeFile(join(folder, ".oxlintrc.json"), JSON.stringify({ ...config, options: { typeAware: false } }));
  await cp(join(ROOT, "lint"), join(folder, "lint"), { recursive: true });
  for (const { file, text } of Object.values(CASES)) {
    await mkdir(join(folder, dirname(file)), { recursive: true });
    await writeFile(join(folder, file), text);
  }
  const output = await new Promise<string>((resolve) => {
    execFile(join(ROOT, "node_modules/.bin/oxlint"), ["--format", "json"], { cwd: folder }, (_error, stdout) =>
      resolve(stdout),
    );
  });
  broken = new Map(Object.values(CASES).map(({ file }) => [file, []]));
  for (const { filename, code } of Report.parse(JSON.parse(output)).diagnostics) broken.get(filename)?.push(code);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

test.for(Object.entries(CASES))("%s", ([, { file, rule }]) => {
  expect(broken.get(file)).toEqual(rule === null ? [] : [rule]);
});
