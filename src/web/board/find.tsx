/**
 * Search and filter of the board. The page's script does it at once; without it a form asks for the page again. Both ways
 * the address keeps it. Every row is on the page and the rest is hidden, so that all visitors share one rendering.
 */
import type { FlagResource } from "../../api/flag.ts";
import type { Board } from "./state.ts";

const MAX_QUERY_CHARS = 100;

const STATES = [
  { value: "over", label: "Over its limit" },
  { value: "off", label: "Off" },
  { value: "downgraded", label: "Downgraded" },
  { value: "ramping", label: "Ramping" },
  { value: "on", label: "On" },
] as const satisfies readonly { value: FlagResource["standing"]["state"]; label: string }[];

export interface Filter {
  /** In name, key or owner. */
  text: string;
  /** `""`: any. */
  state: string;
}

export function filterOf(query: (name: string) => string | undefined): Filter {
  const state = query("state") ?? "";
  return {
    text: (query("q") ?? "").trim().slice(0, MAX_QUERY_CHARS),
    state: STATES.some(({ value }) => value === state) ? state : "",
  };
}

export function isFiltering({ text, state }: Filter): boolean {
  return text !== "" || state !== "";
}

export function matches({ name, key, owner, standing }: FlagResource, { text, state }: Filter): boolean {
  const wanted = text.toLowerCase();
  return (
    (state === "" || standing.state === state) && [name, key, owner].some((one) => one.toLowerCase().includes(wanted))
  );
}

/** The form, the same for all; what a visitor has asked for is put in by `found`. */
export function Find({ path }: { path: string }) {
  return (
    <>
      <form class="find" id="find-form" role="search" method="get" action={path}>
        <input
          id="find"
          type="search"
          name="q"
          maxlength={MAX_QUERY_CHARS}
          placeholder="Find a flag"
          aria-label="Find flags by name, key or owner"
          autocomplete="off"
        />
        <select id="find-state" name="state" aria-label="Show flags that are">
          <option value="">Any state</option>
          {STATES.map(({ value, label }) => (
            <option value={value}>{label}</option>
          ))}
        </select>
        <button id="find-go">Find</button>
      </form>
      <p class="card" id="find-none" hidden>
        No flag is like this. Look for a part of its name, its key or its owner, or <a href={path}>show all flags</a>.
      </p>
    </>
  );
}

/** The page of a visitor who looks for something; its links to itself and its buttons go on looking. */
export function found(html: string, board: Board, filter: Filter): string {
  const shown = new Set(board.rows.filter(({ flag }) => matches(flag, filter)).map(({ flag }) => flag.key));
  const address = attribute(String(addressOf(filter)));
  const page = html
    .replace('id="find"', () => `id="find" value="${attribute(filter.text)}"`)
    .replace(`<option value="${filter.state}"`, (option) => `${option} selected`)
    .replaceAll('href="?', () => `href="?${address}&amp;`)
    .replaceAll(/href="([^"?#]*\/(?:restore|downgrade|raise))"/g, (_, path: string) => `href="${path}?${address}"`)
    .replaceAll(/method="post" action="([^"?]*)"/g, (_, path: string) => `method="post" action="${path}?${address}"`)
    .replaceAll(/ data-flag="([^"]*)"/g, (row, key: string) => (shown.has(key) ? row : `${row} hidden`));
  return shown.size > 0 ? page : page.replace('id="find-none" hidden', 'id="find-none"');
}

/** The board's address for a filter: "" or "?q=…". */
export function searchOf(filter: Filter): string {
  return isFiltering(filter) ? `?${String(addressOf(filter))}` : "";
}

/** What the visitor of a page that the board leads to looks for, in the page's own address: the way back keeps it. */
export function searchOfPage(page: { req: { query(name: string): string | undefined } }): string {
  return searchOf(filterOf((name) => page.req.query(name)));
}

function addressOf({ text, state }: Filter): URLSearchParams {
  return new URLSearchParams({ ...(text !== "" && { q: text }), ...(state !== "" && { state }) });
}

function attribute(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
}
