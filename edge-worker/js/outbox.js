// Where events wait for a moment and leave together. The first event starts a flush; events of requests that overlap with it ride
// along: one queue operation instead of one per landing. The buffer is plain text in JavaScript, so replacing the WASM cannot lose it.
import { counters, report } from "./counters.js";
import { postDirect, sleep } from "./centre.js";
import { configured } from "./engine.js";

/** How long the first event waits for company. */
const LINGER_MS = 20;
/** A flush that has not taken the buffer by then belongs to a request that was cut short; the next event starts another. */
const OVERDUE_MS = 1_000;
/** UTF-8 of a UTF-16 unit has no more bytes. */
const MAX_UNIT_BYTES = 3;
const QUEUE_ATTEMPTS = 3;

/** Messages in the making: `{ events, bytes }`. */
let waiting = [];
let flushStarted = 0;

/** Hands an event (a JSON text) over for delivery after the response. `bytes`: what it takes as UTF-8, where that is known. */
export function post(env, ctx, now, event, bytes = event.length * MAX_UNIT_BYTES) {
  let last = waiting.at(-1);
  if (last === undefined || last.bytes + bytes + 1 > configured(env).max_message_bytes) {
    const [start, end] = configured(env).message;
    last = { events: [], bytes: start.length + end.length };
    waiting.push(last);
  }
  last.events.push(event);
  last.bytes += bytes + 1;
  if (flushStarted === 0 || now - flushStarted > OVERDUE_MS) {
    flushStarted = now;
    ctx.waitUntil(flush(env));
  }
}

async function flush(env) {
  await sleep(LINGER_MS);
  const messages = waiting;
  waiting = [];
  flushStarted = 0;
  await Promise.all(messages.map(({ events }) => deliver(env, events)));
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
