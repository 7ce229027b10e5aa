// The hourly Cron Trigger: asks the central API for what is due.
import { NO_ANSWER, send, sleep } from "./centre.js";
import { report } from "./counters.js";
import { call, configured } from "./engine.js";

const TIMEOUT_MS = 25_000;
const WAITS_MS = [2_000, 10_000];

/**
 * The platform calls at least once and the centre does a slot once, by its scheduled time. What fails is due again in an hour.
 * Throws when it could not be delivered, so that the run shows as failed.
 */
export async function scheduled(controller, env) {
  const problem = configured(env).error;
  if (problem) throw new Error(`the settings cannot be used: ${problem}`);
  const body = JSON.stringify({ scheduled_time: controller.scheduledTime, cron: controller.cron });
  for (let attempt = 0; ; attempt++) {
    const signature = call(env, "sign", body, Date.now());
    if (signature === null) throw new Error("the cron call could not be signed");
    const { status } = await send(env, "/internal/cron", { body, signature, request_id: crypto.randomUUID() }, TIMEOUT_MS);
    if (status >= 200 && status < 300) return;
    report("the central API did not take the cron call", { status, attempt: attempt + 1 });
    const again = status === NO_ANSWER || status >= 500 || status === 429;
    if (!again || attempt === WAITS_MS.length) throw new Error(`the central API answered ${status} to the cron call`);
    await sleep(WAITS_MS[attempt]);
  }
}
