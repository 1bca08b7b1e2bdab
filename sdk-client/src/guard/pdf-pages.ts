/**
 * How many pages an inline PDF has at most. Its bytes say nothing about its tokens: a scan is large, and a page of text small.
 */

/** The API takes no more in one request. https://platform.claude.com/docs/en/build-with-claude/pdf-support */
export const MAX_PDF_PAGES = 600;
/** A page with something on it takes more, also where page objects are compressed and cannot be counted. */
const MIN_PAGE_BYTES = 256;
const PAGE_OBJECT = /\/Type\s*\/Page(?![A-Za-z])/g;
const COMPRESSED_OBJECTS = /\/Type\s*\/ObjStm/;

/** The most pages that a base64 PDF can have; that of the API's limit when it is none. */
export function pdfPages(base64: string): number {
  const text = decode(base64);
  if (text === null) return MAX_PDF_PAGES;
  const plain = text.match(PAGE_OBJECT)?.length ?? 0;
  const hidden = plain === 0 || COMPRESSED_OBJECTS.test(text) ? Math.ceil(text.length / MIN_PAGE_BYTES) : 0;
  return Math.min(Math.max(plain, hidden), MAX_PDF_PAGES);
}

/** One character a byte. */
function decode(base64: string): string | null {
  try {
    return atob(base64);
  } catch {
    // Not base64: the API refuses it, or reads it otherwise than this does.
    return null;
  }
}
