// Signed posts to the central API.
import { call, configured } from "./engine.js";
import { counters, report } from "./counters.js";
import { randomBytes } from "./random.js";

/** Status of an answer that never came: a fault of the network, or a timeout. */
export const NO_ANSWER = 0;
/** Without a queue: tries, and the waits between them. All of it must fit into the 30 s that the platform grants after a response. */
const DIRECT_WAITS_MS = [300, 1_500];
const DIRECT_TIMEOUT_MS = 8_000;

/** Posts a text that is already signed. Never throws: a fault of the network answers like a centre that is down. */
export async function send(env, path, { body, signature, request_id }, timeoutMs) {
  try {
    const answer = await fetch(configured(env).centre_url + path, {
      method: "POST",
      headers: { "content-type": "application/json", "x-ud-signature": signature, "x-request-id": request_id },
      body,
      signal: AbortSignal.timeout(timeoutMs),
    });
    return { status: answer.status, retryAfter: answer.headers.get("retry-after") ?? "", signature: answer.headers.get("x-ud-signature") ?? "", text: await answer.text() };
  } catch (error) {
    report("the central API could not be reached", { kind: error?.name, request_id });
    return { status: NO_ANSWER, retryAfter: "", signature: "", text: "" };
  }
}

/** Groups messages (texts as the queue keeps them) into signed posts: `{ posts, unreadable: [index, reason][] }`, or null when the WASM failed. */
export function plan(env, messages) {
  const text = call(env, "plan", messages, Date.now(), randomBytes());
  return text === null ? null : JSON.parse(text);
}

/** What an answer means for a message: `{ verdict: "ack" | "retry" | "split", … }`, see src/batch.rs. */
export function judge(env, answer, attempts) {
  const text = call(env, "judge", answer.status, answer.retryAfter, answer.text, attempts, Math.random());
  return text === null ? { verdict: "retry", delay_seconds: 60 } : JSON.parse(text);
}

/** Small-shop mode, and the way out when the queue does not take a message: a few quick tries, then the events are lost and counted. */
export async function postDirect(env, message, events) {
  const planned = plan(env, [message]);
  let lost = events;
  for (const post of planned?.posts ?? []) {
    for (let attempt = 1; ; attempt++) {
      const answer = await send(env, "/ingest/v1/events", post, DIRECT_TIMEOUT_MS);
      const verdict = judge(env, answer, attempt);
      if (verdict.verdict === "ack") {
        counters.events_posted += post.events;
        lost -= post.events;
        break;
      }
      if (attempt > DIRECT_WAITS_MS.length) break;
      await sleep(DIRECT_WAITS_MS[attempt - 1]);
    }
  }
  if (lost > 0) {
    counters.events_lost += lost;
    report("events are lost: neither queue nor central API took them", { events: lost, lost_since_start: counters.events_lost });
  }
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
