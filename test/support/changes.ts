/** Changes through the operator API, for tests that only need something to change. */
import type { TestServer } from "./server.ts";
import { jsonOf } from "./json.ts";

/** Turns the master switch of an environment off or on. Returns the new revision. */
export async function setMaster(server: TestServer, state: "on" | "off", environment = "production"): Promise<string> {
  const verb = state === "off" ? "kill" : "restore";
  const response = await server.api("POST", `/v1/environments/${environment}/${verb}`, { reason: "test" });
  if (!response.ok) throw new Error(`${verb} answered ${response.status}: ${await response.text()}`);
  const body = await jsonOf<{ revision: string }>(response);
  return body.revision;
}
