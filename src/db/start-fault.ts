/** Why a database cannot be used, in words for whoever starts the server; its own message is quoted, never the password. */
import { StartError } from "../start-error.ts";

/** Null when it may pass by itself: then it is worth trying again. */
export function startFault(databaseUrl: string, error: unknown): StartError | null {
  if (error instanceof StartError) return error;
  if (!(error instanceof Error)) return null;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  const words = wordsOf(new URL(databaseUrl), code, error.message);
  return words === null ? null : new StartError(words, { cause: error });
}

function wordsOf({ host, username, pathname }: URL, code: string, message: string): string | null {
  const said = `(${host} says: ${message})`;
  const database = decodeURIComponent(pathname.slice(1));
  const user = decodeURIComponent(username);
  if (code === "3D000" || NO_DATABASE.test(message)) {
    return `There is no database "${database}" ${said}. Create it, or correct the end of DATABASE_URL.`;
  }
  if (code.startsWith("28") || NO_LOGIN.test(message)) {
    return `The database does not let the user "${user}" in: a wrong password, no such user, or not from here ${said}. Correct DATABASE_URL.`;
  }
  if (code === "08P01" && /startup parameter/.test(message)) {
    return `The pooler at ${host} does not take a parameter of DATABASE_URL ${said}. Leave it out, or let the pooler ignore it.`;
  }
  if (code === "42501") return `The user "${user}" may not do what Andon needs ${said}. It has to own its database.`;
  if (NO_TLS.test(message)) {
    return `The database offers no TLS, which the sslmode of DATABASE_URL demands ${said}. Turn it on there, or set sslmode=prefer.`;
  }
  if (/CERT|^ERR_TLS|^ERR_SSL|UNABLE_TO_/.test(code)) {
    return `The certificate of the database is not accepted ${said}. Give its authority with sslrootcert=FILE in DATABASE_URL.`;
  }
  return null;
}

/** PgBouncer has one code (08P01) for all that it refuses. */
const NO_DATABASE = /^no such database/;
const NO_LOGIN = /^(?:SASL authentication failed|no such user|password authentication failed|auth failed)/;
const NO_TLS = /before secure TLS connection was established/;
