import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  resolve: {
    alias: [
      { find: /^andon-client\/anthropic$/, replacement: here("./sdk-client/src/anthropic.ts") },
      { find: /^andon-client\/fetch$/, replacement: here("./sdk-client/src/fetch.ts") },
      { find: /^andon-client$/, replacement: here("./sdk-client/src/index.ts") },
    ],
  },
  test: {
    include: ["test/**/*.test.{ts,tsx}"],
    globalSetup: ["test/support/global-setup.ts"],
    testTimeout: 120_000,
    hookTimeout: 240_000,
    maxWorkers: 2,
    // Files of a worker share its modules, which take seconds to load, and its browser: a test restores what it replaces.
    isolate: false,
  },
});
