/** Who a budget about users or sessions counts for: one name, the same for client and server. Pure. */

/** In a scope: one window for each user, or for each session. */
export const EACH = "each";

export interface SubjectScope {
  /** One user's id, or `each`. */
  readonly user?: string;
  /** One session's id, or `each`. */
  readonly session?: string;
}

/**
 * The subject of a call under a scope: the id of its user or session, of both `<length of the user>:<user><session>`; `""`
 * when the scope is about neither. Null when the call names none, or another than the scope.
 */
export function subjectIn(scope: SubjectScope, user: string | null, session: string | null): string | null {
  if (!admits(scope.user, user) || !admits(scope.session, session)) return null;
  if (scope.user === undefined) return scope.session === undefined ? "" : session;
  // A length in front of the user keeps two pairs apart whose joined ids look the same.
  return scope.session === undefined ? user : `${user?.length}:${user}${session}`;
}

/** The user and the session that a subject names, by the scope that it was made for. */
export function namesIn({ user, session }: SubjectScope, subject: string): { user?: string; session?: string } {
  if (user === undefined) return { session: subject };
  if (session === undefined) return { user: subject };
  const colon = subject.indexOf(":");
  const end = colon + 1 + Number(subject.slice(0, colon));
  return { user: subject.slice(colon + 1, end), session: subject.slice(end) };
}

function admits(wanted: string | undefined, actual: string | null): boolean {
  return wanted === undefined || (actual !== null && actual !== "" && (wanted === EACH || wanted === actual));
}
