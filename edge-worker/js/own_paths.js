// What the worker answers itself, below the site's prefix: the browser script, the collect endpoint, the health page.
import script from "#build/script.txt";

import { counters } from "./counters.js";
import { call, configured } from "./engine.js";
import { allowed } from "./limiter.js";
import { post } from "./outbox.js";
import { randomBytes } from "./random.js";
import { describe } from "./request.js";
import { refresh, refusal } from "./settings.js";

/** `rest` begins in `url` after the prefix. */
export function ownPath(url, rest) {
  const query = url.indexOf("?", rest);
  switch (url.slice(rest, query < 0 ? undefined : query)) {
    case "t.js":
      return serveScript;
    case "e":
      return collect;
    case "health":
      return health;
    default:
      return () => answer(404, "not found\n");
  }
}

function serveScript(request) {
  if (request.method !== "GET" && request.method !== "HEAD") return answer(405, "", { allow: "GET, HEAD" });
  return answer(200, script, {
    "content-type": "text/javascript; charset=utf-8",
    "cache-control": "public, max-age=3600, stale-while-revalidate=86400",
  });
}

/** What the browser script sends. Answers before anything leaves for the queue. */
async function collect(request, env, ctx) {
  if (request.method !== "POST") return answer(405, "", { allow: "POST" });
  const site = configured(env);
  if (site.error) return refuse(503);
  if (!(await allowed(request, env))) return refuse(429, { "retry-after": "10" });
  const body = await readUpTo(request, site.max_collect_bytes);
  if (body === null) return refuse(413);
  const now = Date.now();
  const text = call(env, "collect", describe(request, request.url, site), body, now, randomBytes());
  if (text === null) return refuse(503);
  const { status, reason, rejected, set_cookies: cookies, events } = JSON.parse(text);
  counters.events_rejected += rejected;
  // Where it did not come to single events.
  if (status !== 204 && rejected === 0) counters.collect_refused++;
  const response = answer(status, status === 204 ? "" : `${reason ?? ""}\n`, { "cache-control": "no-store" });
  for (const cookie of cookies) response.headers.append("set-cookie", cookie);
  if (events.length > 0) {
    counters.collected += events.length;
    for (const event of events) post(env, ctx, now, event);
  }
  return response;
}

/** What a beacon brings is gone when it is not taken: it is counted. */
function refuse(status, headers) {
  counters.collect_refused++;
  return answer(status, "", headers);
}

/** For the operator: does it run, with which settings, and what became of the events of this isolate. Nothing personal, no secret. */
function health(request, env, ctx) {
  const site = configured(env);
  if (!site.error) refresh(env, ctx, Date.now());
  const body = { status: site.error ? "misconfigured" : "ok", error: site.error, version: VERSION, site: site.site, settings: site.version || "deployed", settings_refused: refusal || undefined, delivery: env.EVENTS ? "queue" : "direct", counters };
  return answer(site.error ? 503 : 200, `${JSON.stringify(body, null, 1)}\n`, { "content-type": "application/json", "cache-control": "no-store" });
}

function answer(status, body, headers = {}) {
  const empty = status === 204 || body === "" || body === null || body === undefined;
  return new Response(empty ? null : body, {
    status,
    headers: { ...(empty ? {} : { "content-type": "text/plain; charset=utf-8" }), "x-content-type-options": "nosniff", ...headers },
  });
}

/** The body's bytes, or null when there are more than `limit`; no more than that is ever held. */
async function readUpTo(request, limit) {
  if (Number(request.headers.get("content-length") ?? 0) > limit) return null;
  const held = new Uint8Array(limit);
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    if (bytes + chunk.byteLength > limit) return null;
    held.set(chunk, bytes);
    bytes += chunk.byteLength;
  }
  return held.subarray(0, bytes);
}
