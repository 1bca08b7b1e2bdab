/** A stream that its reader has left frees all it had within a turn of the garbage collector. */
import { expect, test } from "vitest";
import { bytesPerStream, type Leaving } from "../../bench/guard/heap.ts";

const STREAMS = 300;
/** A stream that is kept is 20 KB and more; the bare SDK and the engine leave some hundred bytes of their own. */
const MAX_BYTES = 5_000;

test.each<Leaving>(["break", "drop", "never read"])(
  "a stream left by %s is freed",
  { timeout: 60_000 },
  async (how) => {
    expect(await bytesPerStream(how, STREAMS, true)).toBeLessThan(MAX_BYTES);
  },
);
