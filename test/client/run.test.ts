/** `andon.run`: the path without AI answers for a switch and for Claude's failures, never for the caller's own faults. */
import { APIConnectionError, APIError, APIUserAbortError } from "@anthropic-ai/sdk";
import { expect, test } from "vitest";
import { Andon } from "../../sdk-client/src/index.ts";
import { FLAG, flagOf, snapshotOf } from "../support/guard-snapshots.ts";
import { SILENT } from "../support/guard-world.ts";

const hostOf = (flag = flagOf()) =>
  new Andon({ bootstrap: snapshotOf({ flags: { [FLAG]: flag } }), logger: SILENT }, { env: {} });
const apiError = (status: number) => APIError.generate(status, undefined, "secret of the provider", new Headers());

test("off: the fallback answers with words fit for users, and the AI path is not begun", async () => {
  const off = hostOf(flagOf({ state: "off", cause: "manual", offMessage: "Back soon." }));
  const answer = await off.run(
    FLAG,
    {},
    () => expect.unreachable("begun"),
    ({ because, message }) => `${because} ${message}`,
  );
  expect(answer).toBe("off Back soon.");
  expect(
    await hostOf().run(
      FLAG,
      {},
      () => "ai",
      () => "fallback",
    ),
  ).toBe("ai");
});

test.each([apiError(500), apiError(529), apiError(429), apiError(401), new APIConnectionError({ message: "x" })])(
  "a failure of Claude's (%o) is answered for, without its words",
  async (error) => {
    const why = await hostOf().run<unknown>(
      FLAG,
      {},
      () => Promise.reject(error),
      (given) => given,
    );
    expect(why).toMatchObject({ because: "failed", error });
    expect(Reflect.get(Object(why), "message")).not.toContain("secret");
  },
);

test.each([apiError(400), apiError(422), new TypeError("mine"), new APIUserAbortError()])(
  "a fault of the caller's (%o) is thrown on",
  async (error) => {
    await expect(
      hostOf().run(
        FLAG,
        {},
        () => Promise.reject(error),
        () => "fallback",
      ),
    ).rejects.toBe(error);
  },
);
