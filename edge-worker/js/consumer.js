// The queue's consumer: up to a hundred messages become as few signed posts as possible. Each message is acknowledged or sent back by
// itself, so that what the centre has is not sent again. Nothing here throws: that would send back the whole batch.
import { judge, plan, send } from "./centre.js";
import { counters, report } from "./counters.js";
import { configured } from "./engine.js";

const TIMEOUT_MS = 25_000;
/** Nothing but a new deployment helps; the queue keeps the messages meanwhile. Longer with each delivery: twenty bridge half a day. */
const MISCONFIGURED_DELAY_SECONDS = 300;
const MAX_DELAY_SECONDS = 3_600;
/** Time does not make a message readable; this only spreads the way to the dead letters a little. */
const UNREADABLE_DELAY_SECONDS = 5;
/** An answer as if the centre had taken no event at all. */
const NOTHING_TO_SEND = { status: 200, retryAfter: "", text: '{"accepted":0,"duplicates":0,"rejected":[]}' };

export async function consume(batch, env) {
  const problem = configured(env).error;
  if (problem) {
    report("the queue waits: the settings cannot be used", { reason: problem, messages: batch.messages.length });
    for (const message of batch.messages) message.retry({ delaySeconds: Math.min(MISCONFIGURED_DELAY_SECONDS * message.attempts, MAX_DELAY_SECONDS) });
    return;
  }
  await deliver(batch.messages, env);
}

/** A message as text. Ours are; what somebody puts back by hand may come as bytes or as a value. */
function textOf({ body }) {
  if (typeof body === "string") return body;
  try {
    if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) return new TextDecoder().decode(body);
    return JSON.stringify(body) ?? "";
  } catch {
    // A value that JSON cannot hold is none of ours: it must not send its neighbours back.
    return "";
  }
}

async function deliver(messages, env) {
  const planned = plan(env, messages.map(textOf));
  if (planned === null) {
    // One message that the WASM cannot bear must not take its neighbours along to the dead letters.
    if (messages.length > 1) for (const message of messages) await deliver([message], env);
    else messages[0].retry({ delaySeconds: MISCONFIGURED_DELAY_SECONDS });
    return;
  }
  for (const [index, reason] of planned.unreadable) {
    // Sent back until the queue moves it to its dead letters, where it can be looked at.
    report("a message cannot be read", { reason, id: messages[index].id, attempts: messages[index].attempts });
    messages[index].retry({ delaySeconds: UNREADABLE_DELAY_SECONDS });
  }
  for (const post of planned.posts) await settle(post, post.messages.map((index) => messages[index]), env);
}

/** Sends a post and tells the queue what became of each message in it. */
async function settle(post, messages, env) {
  const answer = post.events > 0 ? await send(env, "/ingest/v1/events", post, TIMEOUT_MS) : NOTHING_TO_SEND;
  const verdicts = messages.map(({ attempts }) => judge(env, answer, attempts));
  const { verdict, rejected } = verdicts[0];
  if (messages.length > 1 && verdicts.some(({ verdict }) => verdict === "split")) {
    const middle = messages.length >> 1;
    await deliver(messages.slice(0, middle), env);
    await deliver(messages.slice(middle), env);
    return;
  }
  for (const [index, message] of messages.entries()) {
    if (verdict === "ack") message.ack();
    else message.retry({ delaySeconds: verdicts[index].delay_seconds });
  }
  const facts = { status: answer.status, request_id: post.request_id, events: post.events };
  if (verdict !== "ack") report("the central API did not take a batch; it is sent again", facts);
  else if (rejected > 0) report("the central API rejected events and keeps them with the reason", { ...facts, rejected });
  if (verdict === "ack") counters.events_posted += post.events;
}
