// Random bytes for one request, cut from a larger draw: asking the runtime each time would cost more than all that is done with them.
export const RANDOM_BYTES = 64;
const pool = new Uint8Array(64 * RANDOM_BYTES);
let used = pool.length;

/** 64 bytes that nobody else gets. */
export function randomBytes() {
  if (used === pool.length) {
    crypto.getRandomValues(pool);
    used = 0;
  }
  return pool.slice(used, (used += RANDOM_BYTES));
}
