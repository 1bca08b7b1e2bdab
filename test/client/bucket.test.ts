/** Rollout buckets: golden values, stickiness, evenness, independence of salts. */
import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bucketSeed, bucketThreshold, inRollout, murmur3 } from "../../sdk-client/src/evaluate/bucket.ts";

interface Hash {
  text: string;
  seed: number;
  hash: number;
}

interface Vectors {
  published: Hash[];
  own: Hash[];
  loneSurrogates: Hash[];
  buckets: { salt: string; key: string; hash: number; percentBelow: number }[];
}

const vectors: Vectors = JSON.parse(readFileSync(new URL("../vectors/bucket.json", import.meta.url), "utf8"));

describe("murmur3 agrees with", () => {
  test.each(vectors.published)("the published value of $text with seed $seed", ({ text, seed, hash }) => {
    expect(murmur3(text, seed)).toBe(hash);
  });
  test.each([...vectors.own, ...vectors.loneSurrogates])("the golden value of $text, $seed", ({ text, seed, hash }) => {
    expect(murmur3(text, seed)).toBe(hash);
  });
  test("itself over the bytes of any text, however they are split into characters", () => {
    const codePoint = fc.oneof(fc.integer({ min: 0, max: 0x7f }), fc.integer({ min: 0, max: 0x10ffff }));
    fc.assert(
      fc.property(fc.array(codePoint), fc.integer(), (codePoints, seed) => {
        const text = String.fromCodePoint(...codePoints);
        const utf8 = new TextEncoder().encode(text);
        expect(murmur3(text, seed)).toBe(referenceMurmur3(utf8, seed));
      }),
    );
  });
});

describe("a rollout", () => {
  test.each(vectors.buckets)(
    "$percentBelow % is where $key of $salt begins to be in",
    ({ salt, key, hash, percentBelow }) => {
      const seed = bucketSeed(salt);
      expect(murmur3(key, seed)).toBe(hash);
      expect(inRollout(key, seed, bucketThreshold(percentBelow + 0.00001))).toBe(true);
      expect(inRollout(key, seed, bucketThreshold(percentBelow - 0.00001))).toBe(false);
    },
  );

  test("only gains members when its percentage grows; 0 is nobody and 100 everybody", () => {
    const percent = fc.double({ min: 0, max: 100, noNaN: true });
    fc.assert(
      fc.property(fc.string(), fc.string(), percent, percent, (salt, key, a, b) => {
        const isIn = (share: number): boolean => inRollout(key, bucketSeed(salt), bucketThreshold(share));
        if (isIn(Math.min(a, b))) expect(isIn(Math.max(a, b))).toBe(true);
        expect(isIn(0)).toBe(false);
        expect(isIn(100)).toBe(true);
      }),
    );
  });

  test.each([1, 10, 33.3, 50, 90])("of %d %% holds that share of users within tolerance", (percent) => {
    for (const salt of ["salt", "support-chat", "x"]) {
      const share = shareOf(users(20_000), salt, percent);
      expect(Math.abs(share - percent / 100)).toBeLessThan(0.012);
    }
  });

  test("of one flag says nothing about that of another salt", () => {
    const insideA = users(20_000).filter((user) => inRollout(user, bucketSeed("a"), bucketThreshold(30)));
    expect(Math.abs(shareOf(insideA, "b", 50) - 0.5)).toBeLessThan(0.03);
  });

  test("of a percentage that is no number is nobody", () => {
    expect(bucketThreshold(Number.NaN)).toBe(0);
    expect(bucketThreshold(-5)).toBe(0);
    expect(bucketThreshold(250)).toBe(2 ** 32);
  });
});

function users(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `user-${index}`);
}

function shareOf(keys: readonly string[], salt: string, percent: number): number {
  const seed = bucketSeed(salt);
  return keys.filter((key) => inRollout(key, seed, bucketThreshold(percent))).length / keys.length;
}

/** A plain transcription of MurmurHash3_x86_32 over bytes. */
function referenceMurmur3(bytes: Uint8Array, seed: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wholeLength = bytes.length - (bytes.length % 4);
  let hash = seed;
  for (let offset = 0; offset < wholeLength; offset += 4) {
    hash = Math.imul(rotate(hash ^ spread(view.getUint32(offset, true)), 13), 5) + 0xe6546b64;
  }
  const tail = bytes.slice(wholeLength).reduce((block, byte, index) => block | (byte << (8 * index)), 0);
  hash ^= spread(tail);
  hash ^= bytes.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function spread(block: number): number {
  return Math.imul(rotate(Math.imul(block, 0xcc9e2d51), 15), 0x1b873593);
}
