/** A command reads the answers of older and newer servers, and tells another program's apart. */
import { expect, it } from "vitest";
import { type Local, run } from "../../src/cli/program.ts";

const local: Local = { serve: async () => 0, demo: async () => 0, signInLink: async () => 0 };

const FLAG = {
  key: "chat",
  switch: { state: "off", reason: "leak", by: "maria", since: "2026-01-02T03:04:05.000Z", until: null, ramp: null },
  level: { level: 0, manual: null },
  effective: { state: "off", reason: "KILLED", model: null },
  revision: "k3f9.42",
};

async function kill(answer: unknown, ...options: string[]): Promise<{ code: number; said: string }> {
  const lines: string[] = [];
  const say = (line: string): void => {
    lines.push(line);
  };
  const code = await run(
    ["kill", "chat", "--reason", "leak", "--no-wait", ...options],
    {
      env: { ANDON_URL: "http://localhost", ANDON_OP_TOKEN: "x" },
      out: say,
      err: say,
      progress: null,
      ask: null,
      fetch: async () => Response.json(answer),
      nowMs: () => 0,
      monotonicMs: () => 0,
      sleep: async () => undefined,
    },
    local,
    "1",
  );
  return { code, said: lines.join("\n") };
}

it("a kill on a newer server is told, whatever words and fields that has besides", async () => {
  const newer = {
    ...FLAG,
    effective: { state: "dimmed", reason: "ECLIPSE", model: null, shade: 3 },
    switch: { ...FLAG.switch, state: "dimmed", cause: "moon" },
    sends: [{ model: "claude-next-9", why: "NEW" }],
    auditId: 7,
    orbit: { deep: [1] },
  };
  expect(await kill(newer)).toEqual({ code: 0, said: expect.stringMatching(/^chat: .*claude-next-9/) });
  const { code, said } = await kill(newer, "--json");
  expect(code).toBe(0);
  expect(JSON.parse(said)).toMatchObject(newer);
});

it("a kill on a server that tells no more than the switch is told too", async () => {
  expect(await kill(FLAG)).toEqual({ code: 0, said: 'chat: off since 2026-01-02 03:04 UTC by maria, "leak"' });
});

it.each([{}, [], { hello: "world" }, { ...FLAG, key: undefined }, { ...FLAG, effective: null }])(
  "an answer that is no flag is refused: %j",
  async (alien) => {
    expect(await kill(alien)).toMatchObject({ code: 1, said: expect.stringContaining("is not Andon's API") });
  },
);
