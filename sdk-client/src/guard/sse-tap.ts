/**
 * Watches the bytes of an event stream pass by and tells its events. Invariants: it never holds or changes the bytes,
 * and its memory is bounded whatever the stream sends.
 */

/** A longer line is not kept whole: only the names of events are needed of lines that long. */
const MAX_LINE_CHARS = 65_536;

/** Called for each event with its name and its data (cut for very long lines). */
export type OnEvent = (name: string, data: string) => void;

export class SseTap {
  readonly #decoder = new TextDecoder();
  readonly #onEvent: OnEvent;
  #line = "";
  #name = "";
  #data = "";

  constructor(onEvent: OnEvent) {
    this.#onEvent = onEvent;
  }

  push(chunk: Uint8Array): void {
    const text = this.#line + this.#decoder.decode(chunk, { stream: true });
    let start = 0;
    for (;;) {
      const end = text.indexOf("\n", start);
      if (end < 0) break;
      this.#takeLine(text.slice(start, text[end - 1] === "\r" ? end - 1 : end));
      start = end + 1;
    }
    this.#line = text.slice(start, start + MAX_LINE_CHARS);
  }

  #takeLine(line: string): void {
    if (line === "") {
      if (this.#name !== "") this.#onEvent(this.#name, this.#data);
      this.#name = "";
      this.#data = "";
    } else if (line.startsWith("event:")) {
      this.#name = line.slice("event:".length).trim();
    } else if (line.startsWith("data:") && this.#data.length < MAX_LINE_CHARS) {
      const more = line.slice("data:".length).trimStart();
      this.#data = this.#data === "" ? more : `${this.#data}\n${more}`;
    }
  }
}
