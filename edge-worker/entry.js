// The worker's three handlers, and the storefront path.
//
// The rule of this file: the visitor always gets the shop's own answer. What can never be a landing goes to the origin untouched. The
// rest asks the WASM once, synchronously and before the origin is asked, so that a failure there costs the capture and nothing else:
// the origin is then asked once, with the request as it came. Bodies stream; nothing here reads or rewrites them.
import { scheduled } from "./js/cron.js";
import { consume } from "./js/consumer.js";
import { counters, report } from "./js/counters.js";
import { configured, decide } from "./js/engine.js";
import { post } from "./js/outbox.js";
import { ownPath } from "./js/own_paths.js";
import { randomBytes } from "./js/random.js";
import { DOCUMENT, describe } from "./js/request.js";
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
  if (site.error) return pass;
  const headers = request.headers;
  // What a current browser says about itself sorts out nearly all of a shop's requests: what a page only shows or runs (images,
  // styles, scripts) is no page and places no order, however it is asked for. The finer rules are edge-core's.
  const destination = headers.get("sec-fetch-dest");
  switch (destination) {
    case DOCUMENT:
    case null:
    case "empty":
    case "iframe":
    case "frame":
    case "embed":
    case "object":
      break;
    default:
      return pass;
  }
  const get = request.method === "GET";
  if (get && destination === DOCUMENT) return landDeclared;
  if (headers.has("upgrade")) return pass;
  // A navigation that a service worker passes on has lost its destination.
  const undeclared = get && (destination === null || (destination === "empty" && headers.get("sec-fetch-mode") === "navigate"));
  return undeclared ? landUndeclared : identify;
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
  const known = ask(env, describe(request, request.url, site), Date.now(), randomBytes(), PAGE, false);
  if (known === null) return pass(request);
  counters.passed++;
  return fetch(named(request, known.visitor, known.session));
}

const landDeclared = (request, env, ctx) => land(request, env, ctx, true);
const landUndeclared = (request, env, ctx) => land(request, env, ctx, false);

/** A navigation: capture decides what the origin learns, which cookies the visitor gets, and what is reported. */
function land(request, env, ctx, declared) {
  const now = Date.now();
  const random = randomBytes();
  const { url } = request;
  const text = describe(request, url, configured(env), declared);
  const expected = ask(env, text, now, random, PAGE, true);
  if (expected === null) return pass(request);
  const answer = introduce(request, url, expected);
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
    // The headers of a page are read off the copy that it needs anyway: each look at an object of the runtime's costs.
    let answer = status === PAGE && expected.changes ? copy(response) : response;
    const html = isHtml(answer.headers);
    const location = status >= 300 && status < 400 ? answer.headers.get("location") : null;
    const outcome = status === PAGE && html ? expected : ask(env, text, now, random, status, html, location);
    if (outcome === null) return answer;
    if (outcome.changes) {
      if (answer === response) answer = copy(response);
      add(outcome, answer.headers);
    }
    if (outcome.event) {
      counters.captured++;
      post(env, ctx, now, outcome.event, outcome.eventBytes);
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

const copy = (response) => new Response(response.body, response);

/** What a URL parser would write another way: the origin must get the URL as the visitor sent it. */
const REWRITTEN = /[^\w\-.~!$&()*+,;=:@%/?[\]]|\/(?:\.|%2e)/i;

/**
 * Asks the origin in the visitor's name. A page's request has no body, so that URL and headers are all there is to copy: a copy of
 * the whole request would cost three times as much, and fetch makes a Request of its own of whatever it is given.
 */
function introduce(request, url, { visitor, session }) {
  if (request.body !== null || REWRITTEN.test(url)) return fetch(named(request, visitor, session));
  const headers = new Headers(request.headers);
  name(headers, visitor, session);
  return fetch(url, { headers, redirect: "manual" });
}

/** Where `decide` in src/lib.rs puts what; the cookies follow, and the event is the last line. */
const [KIND, VISITOR_LINE, SESSION_LINE, ACCEPT_CH, COOKIES] = [0, 1, 2, 3, 4];

/** Asks the WASM; null when it failed. */
function ask(env, request, now, random, status, html, location = null) {
  const answer = decide(env, request, now, random, status, html, location);
  if (answer === null) return null;
  const lines = answer.text.split("\n");
  const event = lines.at(-1);
  return {
    track: lines[KIND] === "track",
    visitor: lines[VISITOR_LINE],
    session: lines[SESSION_LINE],
    lines,
    /** Whether the answer gets headers. */
    changes: lines.length > COOKIES + 1 || lines[ACCEPT_CH] !== "",
    event,
    // All that stands before the event is ASCII.
    eventBytes: answer.bytes - (answer.text.length - event.length),
  };
}

/** Adds the headers of an outcome to an answer's. */
function add({ lines }, headers) {
  for (let line = COOKIES; line < lines.length - 1; line++) headers.append("set-cookie", lines[line]);
  if (lines[ACCEPT_CH] !== "") headers.append("accept-ch", lines[ACCEPT_CH]);
  keepPrivate(headers);
}

const HTML = /^\s*(?:text\/html|application\/xhtml\+xml)/i;

function isHtml(headers) {
  const type = headers.get("content-type");
  return type !== null && HTML.test(type);
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
