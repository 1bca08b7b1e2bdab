/** Whatever people and other systems wrote: a terminal shows it and does not obey it; JSON keeps it. */
import * as fc from "fast-check";
import { expect, it } from "vitest";
import type { Io } from "../../src/cli/io.ts";
import { type Local, run } from "../../src/cli/program.ts";

const UNSAFE = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/u;
const local: Local = { serve: async () => 0, demo: async () => 0, signInLink: async () => 0 };

/** The instances of an environment that has none. */
const NO_INCIDENT = { items: [], nextCursor: null };
const NOBODY = { items: [], live: 0, silent: 0, stopped: 0 };

/** Runs a command against a server that gives this answer to any other call; what was printed, line by line. */
async function printed(args: readonly string[], answer: unknown, status = 200): Promise<string[]> {
  const lines: string[] = [];
  const say = (line: string): void => {
    lines.push(line);
  };
  const io: Io = {
    env: { ANDON_URL: "http://localhost", ANDON_OP_TOKEN: "x" },
    out: say,
    err: say,
    progress: say,
    ask: null,
    fetch: async (input) => {
      const { pathname } = new URL(new Request(input).url);
      const other = pathname.endsWith("/instances") ? NOBODY : pathname.endsWith("/incidents") ? NO_INCIDENT : null;
      return Response.json(other ?? answer, { status });
    },
    nowMs: () => 0,
    monotonicMs: () => 0,
    sleep: async () => undefined,
  };
  await run(args, io, local, "1");
  return lines;
}

const auditOf = (text: string) => ({
  items: [
    {
      id: 1,
      at: "2026-01-02T03:04:05.000Z",
      actor: { name: text },
      action: text,
      target: { kind: "flag", key: text },
      reason: text,
    },
  ],
});

const flagOf = (text: string) => ({
  key: text,
  switch: { state: "off", reason: text, by: text, since: "2026-01-02T03:04:05.000Z", until: null, ramp: null },
  level: { level: 0, manual: null },
  effective: { state: "off", reason: text, model: text },
});

it.each([
  ["colour", "\u001b[31mred\u001b[0m", "red"],
  ["a cleared line", "gone\u001b[2K\u001b[1A", "gone"],
  ["a title", "\u001b]0;owned\u0007x", "x"],
  ["a link", "\u001b]8;;https://evil.example\u0007click\u001b]8;;\u0007", "click"],
  ["a lone escape", "a\u001b", "a\\u001b"],
  ["an 8-bit sequence", "a\u009b31mb", "ab"],
  ["C1", "a\u0085b", "a\\u0085b"],
  ["a carriage return", "off\ron", "off\\ron"],
  ["another line", "x\nsupport-chat: on", "x\\nsupport-chat: on"],
  ["a reversal", "a\u202egnp.exe", "a\\u202egnp.exe"],
  ["an isolate", "\u2066a\u2069", "\\u2066a\\u2069"],
  ["a line separator", "a\u2028b", "a\\u2028b"],
  ["text of any script", "заказ ¥ עברית 家 👩‍🚒", "заказ ¥ עברית 家 👩‍🚒"],
])("%s in a reason is shown as text", async (_what, reason, shown) => {
  expect(await printed(["status", "support-chat"], flagOf(reason))).toEqual([
    `${shown}: off since 2026-01-02 03:04 UTC by ${shown}, "${shown}"`,
  ]);
});

it("no text of a server reaches the terminal as anything but text, answers and problems alike", async () => {
  const hostile = fc.string({
    unit: fc.oneof(
      fc.constantFrom("\u001b", "\u009b", "[", "]", "8", ";", "\u0007", "\r", "\n", "\u202e", "\u2066", "m", "K"),
      fc.string(),
    ),
  });
  await fc.assert(
    fc.asyncProperty(hostile, async (text) => {
      const problem = { title: text, detail: text, code: text, requestId: text };
      const fault = { path: text, message: text };
      const outputs = await Promise.all([
        printed(["audit"], auditOf(text)),
        printed(["status", "x"], flagOf(text)),
        printed(["status"], problem, 409),
        printed(["status"], { ...problem, errors: [fault, fault] }, 422),
        printed(["audit", "--json"], auditOf(text)),
      ]);
      for (const line of outputs.flat()) expect(line).not.toMatch(UNSAFE);
      expect(outputs.map((lines) => lines.length).slice(0, 4)).toEqual([1, 1, 1, 3]);
      expect(JSON.parse(outputs[4]?.join("\n") ?? "")).toEqual(auditOf(text));
    }),
  );
});
