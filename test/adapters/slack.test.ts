/** Text for Slack: nothing in it can become a mention, a link or half an escape, however long it is. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Alert } from "../../src/deps.ts";
import { escapeText, slackRequest } from "../../src/adapters/notify/slack.ts";

const unescape = (text: string) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

describe("text for Slack", () => {
  it("keeps every character, with the three special ones escaped, when there is room", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 200 }), (text) => {
        const escaped = escapeText(text, 3000);
        expect(escaped).not.toMatch(/[<>]|&(?!amp;|lt;|gt;)/);
        expect(unescape(escaped)).toBe(text);
      }),
    );
  });

  it("is cut between characters and never within an escape when there is none", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("&", "<", "a", "🔥"), maxLength: 60 }), (text) => {
        const escaped = escapeText(text, 40);
        expect(escaped.length).toBeLessThanOrEqual(40);
        const whole = escaped.endsWith("…") ? escaped.slice(0, -1) : escaped;
        expect(text.startsWith(unescape(whole))).toBe(true);
        expect(whole).not.toMatch(/&(?!amp;|lt;)|<|\p{Surrogate}$/u);
      }),
    );
  });

  it("stays within Slack's bounds whatever the alert says", () => {
    const alert: Alert = {
      type: "incident.step",
      incidentId: null,
      at: "2026-01-02T03:00:00.000Z",
      severity: "error",
      actions: [],
      environment: "e".repeat(100),
      title: "",
      text: "<".repeat(100_000),
      url: "http://localhost/e/p|x>y",
    };
    const { blocks } = JSON.parse(slackRequest({ id: "msg_1", event: "trigger", alert }).body);
    expect(blocks[0].text.text.length).toBeLessThanOrEqual(3000);
    expect(blocks[1].elements[0].text).toMatch(/<http:\/\/localhost\/e\/p%7Cx&gt;y\|Open the board>$/);
  });
});
