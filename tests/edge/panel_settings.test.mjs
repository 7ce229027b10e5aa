// The worker follows the settings that the panel keeps: beside visitors, never before them, and only when the centre signed them.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, it } from "node:test";

import { BINDINGS, NAVIGATION, PAGE, TAGGED, ask, openBroker, openShop, settings } from "./shop.mjs";
import { startWorker } from "./workerd.mjs";

let shop, broker, served, asked;
before(async () => {
  shop = await openShop();
  broker = await openBroker();
});
after(() => Promise.all([shop?.close(), broker?.close()]));
beforeEach(() => {
  served = { version: "v1", settings: {} };
  asked = 0;
  shop.answerSettings = () => { asked++; return { body: JSON.stringify(served) }; };
});
const running = [];
afterEach(() => Promise.all(running.splice(0).map((worker) => worker.stop())));
const start = async (bindings = {}, options = {}) => {
  const worker = await startWorker({ bindings: { ...BINDINGS, UD_SETTINGS_SECONDS: "0.05", ...bindings }, origin: shop.port, broker: broker.port, ...options });
  running.push(worker);
  return {
    ...worker,
    visit: (headers = {}) => ask(worker.port, TAGGED, { headers: { ...NAVIGATION, ...headers } }),
    health: async () => JSON.parse((await ask(worker.port, "/_ud/health")).body),
  };
};
/** Asks `probe` until it answers true; each try is a request, on which a refresh can ride. */
async function eventually(what, probe) {
  for (const end = Date.now() + 5_000; Date.now() < end; ) {
    if (await probe()) return;
    await new Promise((done) => setTimeout(done, 60));
  }
  throw new Error(`waited in vain: ${what}`);
}

it("what the panel says holds for the visitors after it, and what it leaves open stays as deployed", async () => {
  const worker = await start({ UD_SETTINGS: settings({ session_life_hours: 5, script_prefix: "/_ud/" }).UD_SETTINGS });
  served = { version: "v2", settings: { consent: { mode: "off" } } };
  assert.equal((await worker.visit()).cookies.length, 2, "the first visitor does not wait for the settings");
  await eventually("the new consent mode holds", async () => (await worker.visit()).cookies.length === 0);
  assert.equal((await worker.health()).settings, "v2");
  served = { version: "v3", settings: {} };
  await eventually("the deployed mode holds again", async () => (await worker.visit()).cookies.length === 2);
  assert.match((await worker.visit()).cookies.find((cookie) => cookie.includes("ud_s")), /Max-Age=18000/i);
});

it("excluded paths can be taken back although no event leaves any more", async () => {
  const worker = await start();
  served = { version: "v2", settings: { excluded_paths: ["/"] } };
  await eventually("nobody lands", async () => (await worker.visit()).cookies.length === 0);
  served = { version: "v3", settings: {} };
  await eventually("people land again", async () => (await worker.visit()).cookies.length === 2);
});

it("settings of a stranger, for another site, or that cannot be used change nothing and are reported", async () => {
  const worker = await start();
  served = { version: "v2", settings: { consent: { mode: "off" } } };
  shop.answerSettings = () => ({ secret: "somebody else's secret of some length", body: JSON.stringify(served) });
  await eventually("the refusal shows", async () => /signature/.test((await worker.health()).settings_refused ?? ""));
  shop.answerSettings = () => ({ body: JSON.stringify({ version: "v4", settings: { consent: { mode: "maybe" }, site: "other" } }) });
  await eventually("the refusal shows", async () => /consent\.mode/.test((await worker.health()).settings_refused ?? ""));
  shop.answerSettings = () => ({ status: 503 });
  await eventually("the refusal shows", async () => /503/.test((await worker.health()).settings_refused ?? ""));
  const health = await worker.health();
  assert.deepEqual([health.settings, health.site, health.counters.capture_failed], ["deployed", "shop", 0]);
  assert.equal((await worker.visit()).cookies.length, 2);
  shop.answerSettings = () => ({ body: JSON.stringify({ version: "v5", settings: { site: "other" } }) });
  await eventually("good ones are taken", async () => (await worker.health()).settings === "v5");
  assert.deepEqual([(await worker.health()).site, (await worker.health()).settings_refused], ["shop", undefined]);
});

it("a panic keeps what was taken from the panel", async () => {
  const worker = await start({}, { build: "build-trap" });
  served = { version: "v2", settings: { excluded_paths: ["/product"] } };
  await eventually("the settings are taken", async () => (await worker.health()).settings === "v2");
  shop.answerSettings = () => ({ status: 503 });
  const trapped = await ask(worker.port, "/?ud_trap=panic");
  assert.deepEqual(trapped.body, PAGE);
  assert.equal((await worker.visit()).cookies.length, 0, "/product is still excluded");
  assert.equal((await worker.health()).counters.replaced, 1);
});

it("asks once in a while, not with every visitor", async () => {
  const worker = await start({ UD_SETTINGS_SECONDS: "" });
  for (let i = 0; i < 20; i++) await worker.visit();
  await worker.health();
  assert.equal(asked, 1);
});
