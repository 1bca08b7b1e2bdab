/** An alert as a Slack message: the sentence first, then where it is from and the way to the board. */
import type { Message } from "../../deps.ts";
import type { OutgoingRequest } from "./post.ts";

/** Of one text block. @see https://docs.slack.dev/reference/block-kit/blocks/section-block */
const MAX_TEXT_CHARS = 3000;
const MAX_LABEL_CHARS = 200;

export function slackRequest({ alert }: Message): OutgoingRequest {
  const sentence = escapeText(alert.text, MAX_TEXT_CHARS);
  const origin = `${escapeText(alert.environment, MAX_TEXT_CHARS / 4)} · ${link(alert.url, "Open the board")}`;
  const actions = alert.actions.map(({ label, url }) => link(url, label));
  return {
    headers: {},
    body: JSON.stringify({
      // What notifications and screen readers show.
      text: sentence,
      blocks: [
        // Verbatim: names in it must not become links or mentions.
        { type: "section", text: { type: "mrkdwn", text: sentence, verbatim: true } },
        // A block each: a link that is cut in half is none.
        ...actions.map((text) => ({ type: "section", text: { type: "mrkdwn", text, verbatim: true } })),
        { type: "context", elements: [{ type: "mrkdwn", text: origin, verbatim: true }] },
      ],
      unfurl_links: false,
      unfurl_media: false,
    }),
  };
}

const ESCAPED: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };

/**
 * `text` with Slack's three control characters escaped, at most `maxChars` long with no escape cut in half.
 * @see https://docs.slack.dev/messaging/formatting-message-text#escaping
 */
export function escapeText(text: string, maxChars: number): string {
  let escaped = "";
  for (const character of text) {
    const next = ESCAPED[character] ?? character;
    if (escaped.length + next.length >= maxChars) return `${escaped}…`;
    escaped += next;
  }
  return escaped;
}

/** At most as long as one text block, however long the label is. */
function link(url: string, label: string): string {
  return `<${linkUrl(url)}|${escapeText(label, MAX_LABEL_CHARS)}>`;
}

/** In `<url|text>` a bar would end the address. */
function linkUrl(url: string): string {
  return escapeText(url.replaceAll("|", "%7C"), MAX_TEXT_CHARS / 2);
}
