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
/** `claude-opus-4.8` (gateways): the dot of a version number. */
const VERSION_DOT = /(\d)\.(?=\d)/g;
/** `claude-sonnet-4-5[1m]`, `anthropic/claude-3.7-sonnet:thinking`: a mode of the model, not another one. */
const MODE_SUFFIX = /(?:\[1m\]|:thinking)+$/;
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

/** `claude-opus-5-5`, `claude-3-5-haiku`, `claude-2`: a family and a version, in either order. */
const CLAUDE = /^claude-(?:[a-z]+-)?\d{1,2}(?:-\d{1,2})?(?:-[a-z]+)?$/;

/** True when a canonical name says which model it is; an inference profile or a deployment does not. */
export function saysItsModel(canonical: string): boolean {
  return CLAUDE.test(canonical);
}

function strip(id: string): string {
  const lower = id.trim().toLowerCase();
  // Resource names (Vertex AI, Bedrock ARNs) end in the model id.
  const named = lower.slice(lower.lastIndexOf("/") + 1).replace(VENDOR_PREFIX, "");
  const name = named.replace(MODE_SUFFIX, "").replace(VERSION_DOT, "$1-");
  return name.replace(VENDOR_VERSION, "").replace(SNAPSHOT_SUFFIX, "").replace(VENDOR_VERSION, "");
}
