/**
 * What the log keeps of an unexpected error: name, message and stack of the error and its causes, as text and without
 * secrets. Error objects themselves are never logged: drivers hang queries, parameters and connections on them.
 */

const MAX_CAUSES = 5;
const MAX_TEXT_CHARS = 4_000;

/**
 * Andon tokens, JSON web tokens, link and signing secrets, Slack's webhook addresses, passwords in URLs, and the
 * parameters of a failed query.
 */
const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/andon_(sdk|op|kill|web)_[\w-]+/g, "andon_$1_[removed]"],
  [/eyJ[\w-]+\.[\w-]+\.[\w-]+/g, "[token removed]"],
  [/whsec_[\w+/=-]+/g, "whsec_[removed]"],
  [/(hooks\.slack\.com\/)[^\s"']+/gi, "$1[removed]"],
  [/([?&](?:link|token|secret)=)[^&\s"']+/gi, "$1[removed]"],
  [/(\w+:\/\/[^\s/:@]+:)[^\s@]+@/g, "$1[removed]@"],
  [/\b(bearer\s+)\S+/gi, "$1[removed]"],
  [/\nparams: [^\n]*/g, "\nparams: [removed]"],
];

export interface LoggedError {
  name: string;
  message: string;
  stack?: string;
  cause?: LoggedError;
}

/** The error as plain text fields, fit for the log. */
export function describeError(error: unknown, depth = 0): LoggedError {
  if (!(error instanceof Error)) return { name: typeof error, message: withoutSecrets(String(error)) };
  const described: LoggedError = { name: error.name, message: withoutSecrets(error.message) };
  if (error.stack !== undefined) described.stack = withoutSecrets(error.stack);
  if (error.cause !== undefined && depth < MAX_CAUSES) described.cause = describeError(error.cause, depth + 1);
  return described;
}

/** `text` with everything that looks like a secret removed, cut to a bounded length. */
export function withoutSecrets(text: string): string {
  const bounded = text.length > MAX_TEXT_CHARS ? `${text.slice(0, MAX_TEXT_CHARS)}…` : text;
  return SECRETS.reduce((cleaned, [pattern, replacement]) => cleaned.replace(pattern, replacement), bounded);
}
