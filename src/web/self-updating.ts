/** A section of a page that htmx asks for again every few seconds: for pages that are looked at, not acted on. */
const EVERY = "every 5s";

/** Attributes of the section with this id on the page at `path`. */
export function selfUpdating(id: string, path: string): Record<string, string | boolean> {
  return {
    "data-live": true,
    "hx-get": path,
    "hx-trigger": EVERY,
    "hx-sync": "this:drop",
    "hx-target": `#${id}`,
    "hx-select": `#${id}`,
    "hx-swap": "outerHTML",
    "hx-disinherit": "*",
  };
}
