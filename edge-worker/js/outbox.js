// Where events wait for a moment and leave together. The first event starts a flush; events of requests that overlap with it ride
// along: one queue operation instead of one per landing. The buffer is plain text in JavaScript, so replacing the WASM cannot lose it.
import { counters, report } from "./counters.js";
import { postDirect, sleep } from "./centre.js";
import { configured } from "./engine.js";

/** How long the first event waits for company. */
const LINGER_MS = 20;
/** A flush that has not taken the buffer by then belongs to a request that was cut short; the next event starts another. */
const OVERDUE_MS = 1_000;
/** UTF-16 units in one message: at three bytes each still under the queue's limit of 128,000 bytes. */
const MAX_MESSAGE_UNITS = 40_000;
const QUEUE_ATTEMPTS = 3;

let waiting = [];
let flushStarted = 0;

/** Hands events (JSON texts) over for delivery after the response. */
export function post(env, ctx, now, ...events) {
  waiting.push(...events);
  if (flushStarted === 0 || now - flushStarted > OVERDUE_MS) {
    flushStarted = now;
    ctx.waitUntil(flush(env));
  }
}

async function flush(env) {
  await sleep(LINGER_MS);
  const events = waiting;
  waiting = [];
  flushStarted = 0;
  await Promise.all(messages(events).map((message) => deliver(env, message)));
}

function messages(events) {
  const parts = [];
  let units = Infinity;
  for (const event of events) {
    if (units + event.length > MAX_MESSAGE_UNITS) {
      parts.push([]);
      units = 0;
    }
    parts.at(-1).push(event);
    units += event.length + 1;
  }
  return parts;
}

async function deliver(env, events) {
  const [start, end] = configured(env).message;
  const message = start + events.join(",") + end;
  for (let attempt = 1; env.EVENTS && attempt <= QUEUE_ATTEMPTS; attempt++) {
    try {
      await env.EVENTS.send(message, { contentType: "text" });
      counters.events_queued += events.length;
      return;
    } catch (error) {
      report("the queue did not take the events", { attempt, kind: error?.name, events: events.length });
      if (attempt < QUEUE_ATTEMPTS) await sleep(50 * 4 ** attempt);
    }
  }
  await postDirect(env, message, events.length);
}
