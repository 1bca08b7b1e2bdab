/**
 * An alert as an e-mail: plain text and simple HTML. All alerts of an incident are one conversation, and the message id is
 * the same on every attempt, so that a mail program shows a repeat once.
 */
import { getSystemErrorName } from "node:util";
import { createTransport } from "nodemailer";
import type { Clock } from "../../clock.ts";
import type { Message } from "../../deps.ts";
import type { Smtp } from "../../domain/channel.ts";
import type { Sent } from "../../domain/delivery.ts";
import { failureOfCode } from "./failure-text.ts";
import { SEND_TIMEOUT_MS, unanswered } from "./post.ts";

const MAX_SUBJECT_CHARS = 200;
/** @see https://www.rfc-editor.org/rfc/rfc5321#section-4.2.1 5yz is for good, 4yz for now. */
const FOR_GOOD = 500;

/** Sends it once and says what came of it. */
export async function mail(
  clock: Clock,
  smtp: Smtp | null,
  to: string,
  message: Message,
  signal: AbortSignal,
): Promise<Sent> {
  if (smtp === null) return retry("This server has no ANDON_SMTP_URL to send by.");
  const startedMs = clock.monotonicMs();
  const timeouts = {
    connectionTimeout: SEND_TIMEOUT_MS,
    greetingTimeout: SEND_TIMEOUT_MS,
    socketTimeout: SEND_TIMEOUT_MS,
  };
  const transport = createTransport({ url: smtp.url, requireTLS: smtp.requireTls, ...timeouts });
  const timeout = new AbortController();
  const timer = clock.schedule(SEND_TIMEOUT_MS, () => timeout.abort());
  try {
    const over = aborted(AbortSignal.any([timeout.signal, signal]));
    await Promise.race([transport.sendMail(mailOf(smtp.from, to, message)), over]);
    return { type: "delivered", tookMs: clock.monotonicMs() - startedMs };
  } catch (error) {
    // Whatever keeps a mail from being taken is an outcome like any other; it ends up on the alerts page.
    const isOver = timeout.signal.aborted || signal.aborted;
    return isOver ? retry(unanswered(error, timeout.signal, signal)) : refusal(error);
  } finally {
    timer.cancel();
    transport.close();
  }
}

/** The mail client has no other way to be told that nobody waits any more. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const stop = () => reject(new Error("aborted"));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}

function retry(error: string): Sent {
  return { type: "retry", error, retryAfterMs: null };
}

function mailOf(from: string, to: string, message: Message) {
  const { id, alert } = message;
  const { incidentId, title, text, url, environment, severity, actions } = alert;
  const host = new URL(url).hostname;
  return {
    from,
    to,
    subject: `[${environment}] ${title}`.slice(0, MAX_SUBJECT_CHARS),
    messageId: `<${id}@${host}>`,
    ...(incidentId !== null && { references: `<${incidentId}@${host}>` }),
    ...(severity === "critical" && { priority: "high" as const }),
    // Programs that answer for people who are away do not answer this.
    headers: { "Auto-Submitted": "auto-generated" },
    text: `${text}\n\n${environment}: ${url}\n${actions.map((one) => `\n${one.label}\n${one.url}\n`).join("")}`,
    html: htmlOf(message),
  };
}

function htmlOf({ alert: { text, url, environment, actions } }: Message): string {
  const links = actions.map((one) => `<p><a href="${escaped(one.url)}">${escaped(one.label)}</a></p>\n`);
  return `<p>${escaped(text).replaceAll("\n", "<br>\n")}</p>\n<p>${escaped(environment)} · <a href="${escaped(url)}">Open the board</a></p>\n${links.join("")}`;
}

const ESCAPED: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ESCAPED[character] ?? character);
}

/** Nothing of what the server wrote is shown: only its code. */
function refusal(error: unknown): Sent {
  const code = error instanceof Error && "code" in error ? error.code : null;
  const status = error instanceof Error && "responseCode" in error ? Number(error.responseCode) : 0;
  if (code === "EAUTH") return retry(`The mail server refused the user or password of ANDON_SMTP_URL (${status}).`);
  if (code === "ETLS") return retry("The mail server does not encrypt, and a password is not sent without that.");
  if (code === "EENVELOPE" && status >= FOR_GOOD) {
    return {
      type: "refused",
      error: `The mail server does not take mail for this address (${status}). Correct it here, then retry.`,
    };
  }
  if (status > 0) return retry(`The mail server answered ${status}.`);
  // The mail client names its own kind of failure; the number is that of the operating system.
  const errno = error instanceof Error && "errno" in error ? Number(error.errno) : 0;
  return retry(failureOfCode(errno < 0 ? getSystemErrorName(errno) : null, "The mail server"));
}
