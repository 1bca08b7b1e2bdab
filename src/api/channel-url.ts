/**
 * A channel's URL is a secret: whoever has it can write to the channel. It is kept to be sent to and is shown only masked.
 */
import { MAX_URL_CHARS } from "../domain/limits.ts";

const SHOWN_CHARS = 4;
/** A shorter secret would be half told by its last characters. */
const MIN_CHARS_TO_SHOW_SOME = 4 * SHOWN_CHARS;

/** What is wrong with a channel's URL, fit to follow "url: "; null when nothing is. Never quotes it. */
export function channelUrlFault(text: string): string | null {
  if (text.length > MAX_URL_CHARS) return `must be at most ${MAX_URL_CHARS} characters`;
  if (!URL.canParse(text)) return "must be an address such as https://hooks.example.com/andon";
  const url = new URL(text);
  if (url.username !== "" || url.password !== "") return "must not hold a user name or password";
  if (url.hash !== "") return "must not have a # part: it would never be sent";
  if (url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url.hostname))) return null;
  return "must begin with https:// (http:// only for this machine itself, such as http://127.0.0.1:8080)";
}

/** Enough to recognise the URL by: its host and its last four characters. */
export function maskUrl(text: string): string {
  const { protocol, host, pathname, search } = new URL(text);
  if (protocol === "mailto:") return text;
  const rest = `${pathname}${search}`;
  return `${protocol}//${host}/…${rest.length < MIN_CHARS_TO_SHOW_SOME ? "" : rest.slice(-SHOWN_CHARS)}`;
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(hostname);
}
