/** Pages as a visitor gets them, without a browser: for what they say, not for how they act. */
import type { World } from "./world.ts";

export interface Pages {
  html(path: string): Promise<string>;
  /** Without tags, spaces made one. */
  text(path: string): Promise<string>;
  /** The text of one element that holds no other of its kind: a row, a card. "" when it is not there. */
  part(path: string, tag: "article" | "section", id: string): Promise<string>;
  /** Sends a form; the text of the page that it leads to. */
  post(path: string, form: Readonly<Record<string, string>>): Promise<string>;
}

/** Signs in with an op token. */
export async function pagesAs(world: { server: Pick<World["server"], "url"> }, token: string): Promise<Pages> {
  const { url } = world.server;
  const signedIn = await fetch(`${url}/sign-in`, {
    method: "POST",
    redirect: "manual",
    headers: { origin: url },
    body: new URLSearchParams({ token }),
  });
  const cookie = signedIn.headers
    .getSetCookie()
    .map((one) => one.split(";")[0])
    .join("; ");
  const html = async (path: string) => {
    const response = await fetch(`${url}${path}`, { headers: { cookie } });
    const body = await response.text();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${body}`);
    return body;
  };
  return {
    html,
    text: async (path) => textOf(await html(path)),
    part: async (path, tag, id) =>
      textOf(new RegExp(`<${tag}[^>]*id="${id}"[\\s\\S]*?</${tag}>`).exec(await html(path))?.[0] ?? ""),
    post: async (path, form) => {
      const headers = { origin: url, cookie };
      const sent = { method: "POST", redirect: "manual", headers, body: new URLSearchParams(form) } as const;
      const response = await fetch(`${url}${path}`, sent);
      if (response.status < 300 || response.status >= 400) return textOf(await response.text());
      const [message = ""] = response.headers.getSetCookie().map((one) => one.split(";")[0] ?? "");
      const next = new URL(response.headers.get("location") ?? path, url);
      return textOf(await (await fetch(next, { headers: { cookie: `${cookie}; ${message}` } })).text());
    },
  };
}

function textOf(html: string): string {
  return html
    .replaceAll(/<[^>]*>/g, " ")
    .replaceAll(/\s+/g, " ")
    .replaceAll(/ ([:,;.])/g, "$1");
}
