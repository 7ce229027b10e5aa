// How often one address may call the collect endpoint: the platform's limiter where it is bound, else a count in this isolate.

const WINDOW_MS = 10_000;
/** A person's page sends a handful of beacons a minute; a whole office behind one address still fits. */
const MAX_IN_WINDOW = 120;
/** Addresses counted at once. Beyond it the window starts anew: a flood from many addresses must not fill the memory. */
const MAX_ADDRESSES = 10_000;

let windowStart = 0;
const seen = new Map();

export async function allowed(request, env) {
  const address = request.headers.get("cf-connecting-ip") ?? "";
  if (env.COLLECT_LIMIT) {
    try {
      return (await env.COLLECT_LIMIT.limit({ key: address })).success;
    } catch {
      // A limiter that fails must not cost events; the isolate counts instead.
    }
  }
  const now = Date.now();
  if (now - windowStart > WINDOW_MS || seen.size >= MAX_ADDRESSES) {
    seen.clear();
    windowStart = now;
  }
  const count = (seen.get(address) ?? 0) + 1;
  seen.set(address, count);
  return count <= MAX_IN_WINDOW;
}
