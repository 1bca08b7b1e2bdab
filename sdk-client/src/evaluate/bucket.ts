/**
 * Rollout buckets: a stable number per (salt, key), so that a key stays in a rollout while its percentage only grows.
 * Murmur3 (x86, 32 bit) over the UTF-8 bytes of the key, seeded by the hash of the salt. Pure: any client in any
 * language can repeat it; `test/vectors/bucket.json` holds golden values.
 */

/** Number of buckets: hashes are in [0, BUCKETS). */
const BUCKETS = 2 ** 32;

/** The seed of a flag's buckets, from its salt. */
export function bucketSeed(salt: string): number {
  return murmur3(salt, 0);
}

/** Hashes below this threshold are in. `percent` is clamped to 0..100; what is not a number counts as 0. */
export function bucketThreshold(percent: number): number {
  if (!(percent > 0)) return 0;
  return percent >= 100 ? BUCKETS : (percent / 100) * BUCKETS;
}

/** True when `key` is inside the rollout with this threshold; raising the threshold only ever adds keys. */
export function inRollout(key: string, seed: number, threshold: number): boolean {
  return murmur3(key, seed) < threshold;
}

/** True when the threshold lets everybody in, so that no hash is needed. */
export function admitsAll(threshold: number): boolean {
  return threshold >= BUCKETS;
}

/** MurmurHash3_x86_32 of the UTF-8 bytes of `text`, as an unsigned 32-bit integer. Lone surrogates hash as U+FFFD. */
export function murmur3(text: string, seed: number): number {
  let hash = seed | 0;
  let index = 0;
  // Keys are nearly always ASCII: four characters are one block then.
  for (; index + 4 <= text.length; index += 4) {
    const [a, b] = [text.charCodeAt(index), text.charCodeAt(index + 1)];
    const [c, d] = [text.charCodeAt(index + 2), text.charCodeAt(index + 3)];
    if ((a | b | c | d) >= 0x80) break;
    hash = mix(hash, a | (b << 8) | (c << 16) | (d << 24));
  }
  let block = 0;
  let shift = 0;
  let byteCount = index;
  for (; index < text.length; index++) {
    let bytes = text.charCodeAt(index);
    let size = 1;
    if (bytes >= 0x80) {
      // At most four bytes, packed little-endian into one integer.
      const codePoint = wellFormed(text.codePointAt(index) ?? 0xfffd);
      if (codePoint > 0xffff) index++;
      size = codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4;
      bytes = packUtf8(codePoint, size);
    }
    byteCount += size;
    for (; size > 0; size--) {
      block |= (bytes & 0xff) << shift;
      bytes >>>= 8;
      shift += 8;
      if (shift === 32) {
        hash = mix(hash, block);
        block = 0;
        shift = 0;
      }
    }
  }
  if (shift > 0) hash ^= scramble(block);
  hash ^= byteCount;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function mix(hash: number, block: number): number {
  const mixed = hash ^ scramble(block);
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
}

function scramble(block: number): number {
  const mixed = Math.imul(block, 0xcc9e2d51);
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
}

function wellFormed(codePoint: number): number {
  return codePoint >= 0xd800 && codePoint <= 0xdfff ? 0xfffd : codePoint;
}

function packUtf8(codePoint: number, size: number): number {
  const tail = 0x80 | (codePoint & 0x3f);
  if (size === 2) return 0xc0 | (codePoint >> 6) | (tail << 8);
  const middle = 0x80 | ((codePoint >> 6) & 0x3f);
  if (size === 3) return 0xe0 | (codePoint >> 12) | (middle << 8) | (tail << 16);
  const second = 0x80 | ((codePoint >> 12) & 0x3f);
  return 0xf0 | (codePoint >> 18) | (second << 8) | (middle << 16) | (tail << 24);
}
