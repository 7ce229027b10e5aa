// The WASM and its one rule: every call into it is synchronous. No Rust future is ever in flight, so a panic can touch nothing but
// the call it happened in; the instance is replaced before the next call.
import { env as bindings } from "cloudflare:workers";

import * as wasm from "#build/edge_worker.js";
import compiled from "./edge_worker_bg.wasm";

import { counters, report } from "./counters.js";
import { RANDOM_BYTES } from "./random.js";
import { describe } from "./request.js";

const TEXTS = ["UD_SETTINGS", "UD_CENTRE_URL", "UD_COOKIE_KEYS", "UD_INGEST_KEY", "UD_HASH_KEY"];
/** Where the health page is found while the settings cannot be read. */
const DEFAULT_PREFIX = "/_ud/";

/** UTF-8 of a UTF-16 unit has no more bytes. */
const MAX_UNIT_BYTES = 3;
/** Room for nearly every request; more is asked for when one needs it. */
const FIRST_ROOM = 32 * 1024;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

let started = false;
let usable = false;
let site = null;

/** All of the WASM's memory, and in it the place for a request: random bytes, then its text. See src/exchange.rs. */
let memory = null;
let place = null;
let room = 0;
let at = 0;

/** The panel's settings that are followed, as the central API gave them; empty while the deployed ones hold alone. */
let followed = "";

const hand = (env) => wasm.configure(...TEXTS.map((name) => String(env[name] ?? "")), followed);

// While the isolate starts, not while its first visitor waits.
instantiate();
warmUp();

function instantiate() {
  try {
    wasm.initSync({ module: compiled });
    started = usable = true;
  } catch (error) {
    report("the WASM cannot be started", { kind: error?.name });
  }
}

/**
 * Reads the settings and decides about a landing of nobody, so that the WASM's functions are compiled before the first visitor comes.
 * What fails here is tried again, and reported, by the first request.
 */
function warmUp() {
  try {
    site = JSON.parse(hand(bindings));
    const url = "https://localhost/?utm_source=a&gclid=b";
    const landing = describe(new Request(url, { headers: { accept: "text/html", referer: "https://example.com/" } }), url, site);
    exchange(landing, new Uint8Array(RANDOM_BYTES), 0, 200, true);
  } catch {
    site = null;
    usable = false;
  }
}

function exchange(text, random, now, status, html, location = null) {
  const wanted = RANDOM_BYTES + text.length * MAX_UNIT_BYTES;
  if (wanted > room) {
    room = Math.max(wanted, FIRST_ROOM);
    at = wasm.exchange(room);
    memory = null;
  }
  if (memory === null || memory.length === 0) look();
  memory.set(random, at);
  const { written } = encoder.encodeInto(text, place);
  const bytes = location === null ? wasm.decide(written, now, status, html) : wasm.redirected(written, now, status, location);
  if (memory.length === 0) look();
  const from = wasm.answer();
  return { text: decoder.decode(memory.subarray(from, from + bytes)), bytes };
}

/** Memory that has grown has another buffer. */
function look() {
  memory = new Uint8Array(wasm.linear_memory().buffer);
  place = memory.subarray(at + RANDOM_BYTES, at + room);
}

/** What JavaScript needs of the site's settings: `{ prefix, cookie_mark, … }`, with `error` when they cannot be used. Never throws. */
export function configured(env) {
  return site ?? (site = configure(env));
}

function configure(env) {
  try {
    return JSON.parse(hand(env));
  } catch (error) {
    usable = false;
    // Our own texts name the setting and what is allowed, never a secret; anything else is only named by its kind.
    const reason = error instanceof WebAssembly.RuntimeError ? "reading the settings failed" : String(error?.message ?? error);
    report("the settings cannot be used; every request passes through uncaptured", { reason });
    return { error: reason, prefix: DEFAULT_PREFIX };
  }
}

/** Takes over the panel's settings if they are signed and can be used; answers why not, or an empty text. */
export function adopt(env, answer, signature, now) {
  const text = call(env, "adopt", answer, signature, now);
  if (text === null) return "the WASM failed";
  const adopted = JSON.parse(text);
  if (adopted.site) {
    site = JSON.parse(adopted.site);
    followed = answer;
  }
  return adopted.error;
}

/**
 * Calls `name` in the WASM. A panic or exception answers null: it is counted and logged, and the next call meets a fresh instance,
 * so that nothing a request sends can break the requests after it.
 */
export const call = (env, name, ...args) => attempt(env, name, () => wasm[name](...args));

/**
 * Asks what to do with a request (a text as js/request.js writes it): `{ text, bytes }`, the lines of `decide` in src/lib.rs and their
 * length as UTF-8. `location`: where the origin redirects to. Fails as `call` does.
 */
export const decide = (env, text, now, random, status, html, location) =>
  attempt(env, "decide", () => exchange(text, random, now, status, html, location));

function attempt(env, name, action) {
  if (configured(env).error) return null;
  try {
    if (!usable) {
      if (started) wasm.__wbg_reset_state();
      else instantiate();
      room = 0;
      hand(env);
      usable = true;
      counters.replaced++;
    }
    return action();
  } catch (error) {
    usable = false;
    counters.capture_failed++;
    // Only the kind: a panic's text could quote what a visitor sent.
    report("the WASM failed and is replaced", { call: name, kind: error?.name ?? typeof error });
    return null;
  }
}
