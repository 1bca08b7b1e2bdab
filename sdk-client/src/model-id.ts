/**
 * Model ids as chains and blocks compare them: a dated snapshot, a vendor's spelling and the plain name are one model.
 * The canonical form is only for comparing; requests are sent with the id as the caller or the chain wrote it.
 */

const MEMO_MAX_ENTRIES = 256;
const memo = new Map<string, string>();

/** `anthropic.`, `us.anthropic.`, `us-gov.anthropic.`, `global.anthropic.` (Amazon Bedrock). */
const VENDOR_PREFIX = /^(?:[a-z]{2,8}(?:-[a-z]{2,8})?\.)?anthropic\./;
/** `-v1:0`, `-v2`, `-v1:0:200k` (Amazon Bedrock). */
const VENDOR_VERSION = /-v\d{1,2}(?::[0-9a-z]{1,8}){0,2}$/;
/** `-20251001`, `@20251001`, `-latest`, `@default` (Claude API and Google Vertex AI). */
const SNAPSHOT_SUFFIX = /(?:[-@]20\d{6}|[-@]latest|@default)$/;

/**
 * The name under which a model id is compared, for example `claude-haiku-4-5` for `claude-haiku-4-5-20251001`,
 * `claude-haiku-4-5@20251001` and `us.anthropic.claude-haiku-4-5-20251001-v1:0`.
 */
export function canonicalModel(id: string): string {
  const known = memo.get(id);
  if (known !== undefined) return known;
  const canonical = strip(id);
  if (memo.size >= MEMO_MAX_ENTRIES) memo.clear();
  memo.set(id, canonical);
  return canonical;
}

function strip(id: string): string {
  const lower = id.trim().toLowerCase();
  // Resource names (Vertex AI, Bedrock ARNs) end in the model id.
  const name = lower.slice(lower.lastIndexOf("/") + 1).replace(VENDOR_PREFIX, "");
  return name.replace(VENDOR_VERSION, "").replace(SNAPSHOT_SUFFIX, "").replace(VENDOR_VERSION, "");
}
