/**
 * What callers of the bill ask for: requests of every kind, from a seed. A kind is what its body has beside a short question;
 * every kind goes to every model, whole and streamed.
 */
import type Anthropic from "@anthropic-ai/sdk";
import type { Random } from "./bill-endpoint.ts";

const MODELS = [
  "claude-opus-5-5",
  "claude-sonnet-5-5",
  "claude-haiku-4-5",
  "claude-fable-5-2",
  "us.anthropic.claude-opus-5-5-v1:0",
  "claude-haiku-5-5",
  "claude-sonnet-4-5",
  "claude-nova-9",
] as const;
/** Two prices begin above 100,000 and 200,000 tokens of prompt; a document has 40,000. */
const MAX_DOCUMENTS = 6;
/** Of turns that continue a thread, those of one that nobody here has seen. */
const STRANGE_THREADS = 0.03;

type Content = object[];
type Extra = Record<string, unknown>;
/** Changes the content of the question, and answers what else the body has. */
type Kind = (content: Content, random: Random, threads: readonly string[]) => Extra;

const PLAIN: Kind = () => ({});

export const KINDS: Readonly<Record<string, Kind>> = {
  plain: PLAIN,
  cache5m: (content) => cached(content, { type: "ephemeral" }),
  cache1h: (content) => cached(content, { type: "ephemeral", ttl: "1h" }),
  image(content) {
    content.push(source("image", { type: "base64", media_type: "image/png", data: "A".repeat(2_000) }));
    return {};
  },
  pdf(content) {
    const data = Buffer.from("%PDF-1.4 /Type /Page /Type /Page").toString("base64");
    content.push(source("document", { type: "base64", media_type: "application/pdf", data }));
    return {};
  },
  documents(content, random) {
    const count = 1 + Math.floor(random() * MAX_DOCUMENTS);
    for (let n = 0; n < count; n += 1) {
      content.push(source("document", { type: "url", url: `https://example.com/${n}.pdf` }));
    }
    return {};
  },
  thread: () => ({ thread: { type: "create" } }),
  continued(_, random, threads) {
    const known = threads[Math.floor(random() * threads.length)];
    const previous = random() < STRANGE_THREADS ? "msg_unknown" : known;
    if (previous === undefined) return { thread: { type: "create" } };
    return { thread: { type: "continue", previous_message_id: previous } };
  },
  fallbacks: () => ({ fallbacks: [{ model: "claude-haiku-4-5" }] }),
  search: () => ({
    tools: [{ type: "web_search_20250305", name: "web_search", max_uses: 2, max_content_tokens: 500 }],
  }),
  advisor: () => ({
    tools: [{ type: "advisor_20260301", name: "advisor", model: "claude-opus-5-5", max_uses: 1, max_tokens: 20 }],
  }),
  tools: () => ({
    tools: [{ name: "look_up", description: "Looks things up", input_schema: { type: "object", properties: {} } }],
  }),
  fast: () => ({ speed: "fast" }),
  us: () => ({ inference_geo: "us" }),
};

const NAMES = Object.keys(KINDS);

export interface Asked {
  kind: string;
  body: Anthropic.MessageCreateParams;
  text: string;
}

/** The next request. @param threads ids of answers that a turn may continue */
export function nextBody(random: Random, threads: readonly string[]): Asked {
  const text = "question ".repeat(1 + Math.floor(random() * 60));
  const kind = NAMES[Math.floor(random() * NAMES.length)] ?? "plain";
  const content: Content = [{ type: "text", text }];
  const extra = (KINDS[kind] ?? PLAIN)(content, random, threads);
  const model = MODELS[Math.floor(random() * MODELS.length)] ?? MODELS[0];
  // Some of it is newer than the types.
  const body: Anthropic.MessageCreateParams = JSON.parse(
    JSON.stringify({
      model,
      max_tokens: 8 + Math.floor(random() * 60),
      stream: random() < 0.5,
      messages: [{ role: "user", content }],
      ...extra,
    }),
  );
  return { kind, body, text };
}

function cached(content: Content, cache_control: object): Extra {
  content[0] = { ...content[0], cache_control };
  return {};
}

function source(type: string, from: object): object {
  return { type, source: from };
}
