/** Each dependency is chosen, and docs/dependencies.md says why. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
const text = read("docs/dependencies.md");
const manifest: { dependencies: object; devDependencies: object } = JSON.parse(read("package.json"));
const names = Object.keys({ ...manifest.dependencies, ...manifest.devDependencies });

test.each(names.filter((name) => !name.startsWith("@types/")))("docs/dependencies.md says why %s", (name) => {
  expect(text).toContain(`\`${name}\``);
});
