// The settings that the panel keeps for this site: asked for beside a visitor's request, never before it, and taken over for the ones
// after it. Until the first answer, and whenever the central API is away, what was deployed or taken last holds.
import { send } from "./centre.js";
import { report } from "./counters.js";
import { adopt, call } from "./engine.js";

const TIMEOUT_MS = 5_000;
/** How long an answer is good for, unless UD_SETTINGS_SECONDS says otherwise. */
const FRESH_MS = 60_000;

let asked = 0;
/** Why the last answer was not taken over; shown by the health page. */
export let refusal = "";

/** Asks again when the last asking is old enough. Costs the request that it rides on nothing but this comparison. */
export function refresh(env, ctx, now) {
  if (now - asked < (Number(env.UD_SETTINGS_SECONDS) * 1_000 || FRESH_MS)) return;
  asked = now;
  ctx.waitUntil(ask(env));
}

async function ask(env) {
  try {
    const body = "{}";
    const signature = call(env, "sign", body, Date.now());
    if (signature === null) return;
    const answer = await send(env, "/internal/worker-settings", { body, signature, request_id: crypto.randomUUID() }, TIMEOUT_MS);
    if (answer.status !== 200) refusal = `the central API answered ${answer.status || "nothing"}`;
    else refusal = adopt(env, answer.text, answer.signature, Date.now());
    if (refusal) report("the panel's settings were not taken over; those before them hold", { reason: refusal });
  } catch (error) {
    report("the panel's settings could not be asked for", { kind: error?.name });
  }
}
