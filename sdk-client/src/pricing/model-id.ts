/**
 * The one table of spellings: what clouds and gateways write around a model's id. Blocks, levels, budgets and chains
 * compare the canonical name; prices know a dated snapshot by the id it is listed under. Requests are sent as written.
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
/** Google writes a snapshot's date behind an `@`. */
const VERTEX_DATE = /@(20\d{6})$/;

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

/**
 * True for an id on Amazon Bedrock that is bound to a geography or to the region it is called in: all but `global.`.
 * @see https://platform.claude.com/docs/en/about-claude/pricing "Regional and multi-region endpoint pricing"
 */
export function spellsRegion(id: string): boolean {
  // What nearly all ids are, told without taking them apart.
  if (id.startsWith("claude-") && !id.includes("/")) return false;
  const prefix = VENDOR_PREFIX.exec(id.slice(id.lastIndexOf("/") + 1).toLowerCase());
  return prefix !== null && prefix[0] !== "global.anthropic.";
}

/** True when a canonical name says which model it is; an inference profile or a deployment does not. */
export function saysItsModel(canonical: string): boolean {
  return CLAUDE.test(canonical);
}

/**
 * The id without what a vendor writes around it, for example `claude-haiku-4-5-20251001` for
 * `us.anthropic.claude-haiku-4-5-20251001-v1:0` and for `claude-haiku-4-5@20251001`. A snapshot stays a snapshot.
 */
export function plainModel(id: string): string {
  return withoutVendor(id)
    .replace(VERTEX_DATE, "-$1")
    .replace(/[-@]latest$|@default$/, "");
}

function strip(id: string): string {
  return withoutVendor(id).replace(SNAPSHOT_SUFFIX, "").replace(VENDOR_VERSION, "");
}

function withoutVendor(id: string): string {
  const lower = id.trim().toLowerCase();
  // Resource names (Vertex AI, Bedrock ARNs) end in the model id.
  const named = lower.slice(lower.lastIndexOf("/") + 1).replace(VENDOR_PREFIX, "");
  const name = named.replace(MODE_SUFFIX, "").replace(VERSION_DOT, "$1-");
  return name.replace(VENDOR_VERSION, "");
}
