/** Tells on-call of accounts that Claude refuses, and when it answers them again. */
import { ACCOUNT } from "../domain/actor.ts";
import { runAccountFaults } from "../services/accounts/account-faults.ts";
import type { Job } from "./runner.ts";

export const accountFaultsJob: Job = {
  name: "account-faults",
  everyMs: 1000,
  async run(deps) {
    for (const { environmentId } of deps.snapshots.all()) {
      await runAccountFaults({ actor: ACCOUNT, requestId: deps.newId(), deps }, environmentId);
    }
  },
};
