// Runs the examples of sdk-client/README.md as an application would: `npm run check:examples`, or by name (libraries, workers,
// next). In empty projects, from the packed client and public packages, against local servers; type-checked first, then while
// the flag is on, while the first model fails or is blocked, and while it is off.
import { startClaudeEndpoint } from "../dist/src/demo/claude-endpoint/claude-endpoint.js";
import { checkLibraries } from "./support/library-examples.mjs";
import { startAndon } from "./support/local-andon.mjs";
import { checkNext } from "./support/next-example.mjs";
import { checkWorkers } from "./support/worker-example.mjs";

const CHECKS = { libraries: checkLibraries, workers: checkWorkers, next: checkNext };

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(CHECKS);
for (const name of names) {
  if (CHECKS[name] === undefined) throw new Error(`there is no check "${name}": ${Object.keys(CHECKS).join(", ")}`);
}
for (const name of names) {
  const claude = await startClaudeEndpoint();
  const andon = await startAndon();
  try {
    await CHECKS[name]({ andon, claude, tell });
  } finally {
    andon.close();
    await claude.close();
  }
}

/** Says what was seen; when it is not as the README says, the run has failed. */
function tell(what, isRight, seen) {
  if (isRight) {
    console.log(`${what}: as the README says (${seen})`);
  } else {
    console.error(`${what}: NOT as the README says; ${seen}`);
    process.exitCode = 1;
  }
}
