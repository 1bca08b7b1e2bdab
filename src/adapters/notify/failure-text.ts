/** Why a request had no answer, in a sentence. Of the error only its code is shown: messages may hold addresses. */

const SENTENCES: Readonly<Record<string, string>> = {
  ECONNREFUSED: "The receiver refused the connection.",
  ECONNRESET: "The receiver broke the connection off.",
  EPIPE: "The receiver broke the connection off.",
  UND_ERR_SOCKET: "The receiver broke the connection off.",
  ENOTFOUND: "The host of the URL is not known.",
  EAI_AGAIN: "The host of the URL could not be looked up.",
  EHOSTUNREACH: "The receiver cannot be reached from here.",
  ENETUNREACH: "The receiver cannot be reached from here.",
  ETIMEDOUT: "The receiver did not take the connection in time.",
  UND_ERR_CONNECT_TIMEOUT: "The receiver did not take the connection in time.",
  CERT_HAS_EXPIRED: "The receiver's certificate has expired.",
  DEPTH_ZERO_SELF_SIGNED_CERT: "The receiver's certificate is not trusted here.",
  SELF_SIGNED_CERT_IN_CHAIN: "The receiver's certificate is not trusted here.",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "The receiver's certificate is not trusted here.",
  ERR_TLS_CERT_ALTNAME_INVALID: "The receiver's certificate is for another host.",
};
const RECEIVER = "The receiver";
const MAX_CAUSES = 5;

/** @param who what was asked, as a sentence begins with it */
export function failureText(error: unknown, who = RECEIVER): string {
  return failureOfCode(codeOf(error), who);
}

/** The same for a code of the operating system, or of the HTTP client; null: none is known. */
export function failureOfCode(code: string | null, who = RECEIVER): string {
  if (code === null) return "The request could not be sent.";
  const sentence = SENTENCES[code]?.replace(RECEIVER, who);
  return sentence === undefined ? `The request could not be sent (${code}).` : `${sentence.slice(0, -1)} (${code}).`;
}

/** The first code among the error and its causes; `fetch` wraps the one that says something. */
function codeOf(error: unknown): string | null {
  let current = error;
  for (let depth = 0; depth < MAX_CAUSES && current instanceof Error; depth += 1) {
    if ("code" in current && typeof current.code === "string" && /^[A-Z][A-Z0-9_]{1,60}$/.test(current.code)) {
      return current.code;
    }
    current = current instanceof AggregateError && current.errors.length > 0 ? current.errors[0] : current.cause;
  }
  return null;
}
