/** A section of a page that the script asks for again every few seconds: for pages that are looked at, not acted on. */

/** Attributes of the section with this id on the page at `path`. Sections of one path are asked for together. */
export function selfUpdating(id: string, path: string): Record<string, string | boolean> {
  return { id, "data-live": true, "hx-get": path };
}
