// Runs the tests as on other days: `npm run test:dates [-- --day NAME] [-- what vitest takes]`. Everything that asks
// for the date is moved: the tests, the servers and clients that they start, pages, and PostgreSQL's now().
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** When each run starts, and the zone of the machine. */
const DAYS = {
  tomorrow: { at: new Date(Date.now() + 86_400_000).toISOString(), zone: "UTC" },
  "europe-clocks-back": { at: "2026-10-25T00:59:00Z", zone: "Europe/Berlin" },
  "europe-clocks-forward": { at: "2027-03-28T00:59:00Z", zone: "Europe/Berlin" },
  "america-clocks-back": { at: "2026-11-01T05:59:00Z", zone: "America/New_York" },
  "29-february": { at: "2028-02-29T12:00:00Z", zone: "UTC" },
  "end-of-year": { at: "2026-12-31T23:59:00Z", zone: "UTC" },
};

const given = process.argv.slice(2);
const at = given.indexOf("--day");
const [, only] = at === -1 ? [] : given.splice(at, 2);
if (only !== undefined && DAYS[only] === undefined) {
  console.error(`No day ${only}. There are: ${Object.keys(DAYS).join(", ")}`);
  process.exit(2);
}

const root = fileURLToPath(new URL("..", import.meta.url));
const preload = new URL("../test/support/shift-date-preload.mjs", import.meta.url).href;
const vitest = fileURLToPath(new URL("../node_modules/vitest/vitest.mjs", import.meta.url));
const failed = [];
for (const [name, { at: startsAt, zone }] of Object.entries(DAYS)) {
  if (only !== undefined && name !== only) continue;
  console.log(`\n${name}: the tests start at ${startsAt}, in ${zone}`);
  const { status } = spawnSync(process.execPath, [vitest, "run", ...given], {
    cwd: root,
    stdio: "inherit",
    env: {
      ...process.env,
      TZ: zone,
      NODE_OPTIONS: `${process.env["NODE_OPTIONS"] ?? ""} --import ${preload}`.trim(),
      TEST_DATE_SHIFT_MS: String(Date.parse(startsAt) - Date.now()),
    },
  });
  if (status !== 0) failed.push(name);
}
console.log(failed.length === 0 ? "\nAll days passed." : `\nFailed on: ${failed.join(", ")}`);
process.exitCode = failed.length === 0 ? 0 : 1;
