/** Bounds and shapes of what people and programs may send. One place, so that API, pages and CLI agree. */

/** No dots: OFREP uses `<flag>.model` for a flag's parts. */
export const FLAG_KEY_PATTERN = /^[a-z0-9][a-z0-9_-]{0,63}$/;
export const CHAIN_NAME_PATTERN = /^[a-z0-9][a-z0-9._-]{0,63}$/;
export const ENVIRONMENT_KEY_PATTERN = /^[a-z0-9][a-z0-9-]{0,31}$/;
/** Model ids of the Claude API, Bedrock (`us.anthropic.…-v1:0`) and Vertex (`…@20250929`). */
export const MODEL_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}$/;

export const MAX_REASON_CHARS = 500;
export const MAX_NAME_CHARS = 100;
export const MAX_DESCRIPTION_CHARS = 2_000;
export const MAX_OFF_MESSAGE_CHARS = 1_000;
export const MAX_URL_CHARS = 2_000;
export const MAX_CHAIN_STEPS = 16;
export const MAX_RULES = 50;
/** Tags of a flag; a tag looks like a flag's key. */
export const MAX_TAGS = 20;
/** Largest limits that a flag may have; a limit is at least 1. */
export const MAX_CALLS_AT_A_TIME = 100_000;
export const MAX_REQUESTS_PER_MINUTE = 100_000;
export const MAX_TOKENS_PER_DAY = 1_000_000_000_000;
/** The largest body that the Claude API takes is a message batch of 256 MB. */
export const MAX_INPUT_BYTES = 256 * 1024 * 1024;
export const MAX_OUTPUT_TOKENS = 1_000_000;
export const MAX_CONDITIONS = 20;
export const MAX_CONDITION_VALUES = 1_000;
export const MAX_BODY_BYTES = 256 * 1024;
export const MAX_PAGE_SIZE = 200;
export const DEFAULT_PAGE_SIZE = 50;
export const MAX_FLAGS_PER_ENVIRONMENT = 1_000;
/** Keys that no flag has and applications ask for, kept for each environment. */
export const MAX_UNKNOWN_FLAGS = 50;
export const MAX_CHAINS_PER_ENVIRONMENT = 200;
export const MAX_ALIASES_PER_ENVIRONMENT = 200;
export const MAX_ENVIRONMENTS = 50;
export const MAX_ACTIVE_TOKENS = 1_000;
export const SIGN_IN_LINK_HOURS = 24;
