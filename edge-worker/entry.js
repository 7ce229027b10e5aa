// The worker's three handlers, and the storefront path.
//
// The rule of this file: the visitor always gets the shop's own answer. What can never be a landing goes to the origin untouched. The
// rest asks the WASM once, synchronously and before the origin is asked, so that a failure there costs the capture and nothing else:
// the origin is then asked once, with the request as it came. Bodies stream; nothing here reads or rewrites them.
import { scheduled } from "./js/cron.js";
import { consume } from "./js/consumer.js";
import { counters, report } from "./js/counters.js";
import { call, configured } from "./js/engine.js";
import { post } from "./js/outbox.js";
import { ownPath } from "./js/own_paths.js";
import { randomBytes } from "./js/random.js";
import { describe } from "./js/request.js";
import { refresh } from "./js/settings.js";

const VISITOR = "x-ud-visitor";
const SESSION = "x-ud-session";
/** The status that is expected of a landing; any other is asked about once it is known. */
const PAGE = 200;

export default {
  fetch(request, env, ctx) {
    let route;
    try {
      route = choose(request, env);
    } catch (error) {
      counters.capture_failed++;
      report("a request could not be classified and passes through", { kind: error?.name });
      return fetch(request);
    }
    return route(request, env, ctx);
  },

  queue: consume,
  scheduled,
};

function choose(request, env) {
  const url = request.url;
  const path = url.indexOf("/", 8);
  const site = configured(env);
  if (url.startsWith(site.prefix, path)) return ownPath(url, path + site.prefix.length);
  const headers = request.headers;
  if (site.error || headers.has("upgrade")) return pass;
  // What a current browser says about itself sorts out nearly all of a shop's requests. The finer rules are edge-core's.
  const destination = headers.get("sec-fetch-dest");
  if (request.method !== "GET") return identify;
  switch (destination) {
    case null:
    case "document":
      return land;
    case "empty":
    case "iframe":
      return identify;
    default:
      return pass;
  }
}

/** To the origin as it came, but for what only we may say. */
function pass(request) {
  counters.passed++;
  return fetch(named(request, "", ""));
}

/** Not a landing, but perhaps the request that places the order: the shop's backend learns who asks. */
function identify(request, env) {
  const site = configured(env);
  if (!request.headers.get("cookie")?.includes(site.cookie_mark)) return pass(request);
  const known = ask(env, describe(request, site), Date.now(), randomBytes(), PAGE, false);
  if (known === null) return pass(request);
  counters.passed++;
  return fetch(named(request, known.visitor, known.session));
}

/** A navigation: capture decides what the origin learns, which cookies the visitor gets, and what is reported. */
function land(request, env, ctx) {
  const now = Date.now();
  const random = randomBytes();
  const text = describe(request, configured(env));
  const expected = ask(env, text, now, random, PAGE, true);
  if (expected === null) return pass(request);
  const answer = introduce(request, expected);
  refresh(env, ctx, now);
  if (!expected.track) {
    counters.passed++;
    return answer;
  }
  return answer.then((response) => mark(response, expected, env, ctx, now, text, random));
}

/** The origin's answer with what capture adds to it; the event is handed over. */
function mark(response, expected, env, ctx, now, text, random) {
  try {
    const { status } = response;
    const html = isHtml(response);
    const outcome = status === PAGE && html ? expected : ask(env, text, now, random, status, html);
    if (outcome === null) return response;
    let answer = response;
    if (outcome.headers.length > 0) {
      answer = new Response(response.body, response);
      for (const [name, value] of outcome.headers) answer.headers.append(name, value);
      keepPrivate(answer.headers);
    }
    if (outcome.event) {
      counters.captured++;
      post(env, ctx, now, outcome.event);
    } else {
      counters.passed++;
    }
    return answer;
  } catch (error) {
    counters.capture_failed++;
    report("an answer could not be marked", { kind: error?.name });
    return response;
  }
}

/** What a URL parser would write another way: the origin must get the URL as the visitor sent it. */
const REWRITTEN = /[^\w\-.~!$&()*+,;=:@%/?[\]]|\/(?:\.|%2e)/i;

/**
 * Asks the origin in the visitor's name. A page's request has no body, so that URL and headers are all there is to copy; a copy of
 * the whole request would cost three times as much.
 */
function introduce(request, { visitor, session }) {
  const { url } = request;
  if (request.body !== null || REWRITTEN.test(url)) return fetch(named(request, visitor, session));
  const headers = new Headers(request.headers);
  name(headers, visitor, session);
  return fetch(url, { headers, redirect: "manual" });
}

/** Asks the WASM; null when it failed. See `decide` in src/lib.rs for the lines. */
function ask(env, text, now, random, status, html) {
  const answer = call(env, "decide", text, now, random, status, html);
  if (answer === null) return null;
  const [kind, visitor, session, acceptCh, ...rest] = answer.split("\n");
  const event = rest.pop();
  const headers = rest.map((cookie) => ["set-cookie", cookie]);
  if (acceptCh) headers.push(["accept-ch", acceptCh]);
  return { track: kind === "track", visitor, session, headers, event };
}

function isHtml(response) {
  const type = response.headers.get("content-type");
  return type !== null && (type.startsWith("text/html") || type.startsWith("application/xhtml+xml"));
}

/** The request with our two headers, and none but ours; the very same where that changes nothing. */
function named(request, visitor, session) {
  const sent = request.headers;
  if (!visitor && !session && !sent.has(VISITOR) && !sent.has(SESSION)) return request;
  const copy = new Request(request);
  name(copy.headers, visitor, session);
  return copy;
}

function name(headers, visitor, session) {
  if (visitor) headers.set(VISITOR, visitor);
  else headers.delete(VISITOR);
  if (session) headers.set(SESSION, session);
  else headers.delete(SESSION);
}

/** An answer with somebody's id must not be kept by caches that others share. How long the browser may keep it stays. */
function keepPrivate(headers) {
  const control = headers.get("cache-control");
  if (control !== null && /\bpublic\b|\bs-maxage\b/i.test(control)) {
    const kept = control.split(",").map((part) => part.trim()).filter((part) => !/^(public|s-maxage\b.*|private)$/i.test(part));
    headers.set("cache-control", ["private", ...kept].join(", "));
  }
}
