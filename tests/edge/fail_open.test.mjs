// Whatever breaks on our side, the visitor gets the shop's own answer, once, unchanged.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";

import { BINDINGS, NAVIGATION, PAGE, TAGGED, ask, jar, openBroker, openShop, settings, until } from "./shop.mjs";
import { freePorts, startWorker } from "./workerd.mjs";

let shop, broker;
before(async () => {
  shop = await openShop();
  broker = await openBroker();
});
after(() => Promise.all([shop?.close(), broker?.close()]));
beforeEach(() => {
  shop.requests.length = 0;
  shop.batches.length = 0;
  shop.answerBatch = null;
  broker.messages.length = 0;
  broker.broken = false;
});
const running = [];
afterEach(() => Promise.all(running.splice(0).map((worker) => worker.stop())));
const start = async (options = {}) => {
  const worker = await startWorker({ bindings: BINDINGS, origin: shop.port, broker: broker.port, ...options });
  running.push(worker);
  return { ...worker, visit: (path, more) => ask(worker.port, path, more), health: async () => JSON.parse((await ask(worker.port, "/_ud/health")).body) };
};

describe("a panic in the WASM", () => {
  const TRAP = "/product/1?ud_trap=panic&utm_source=x";

  it("costs one capture: the visitor gets the page, the origin is asked once, the next landing is captured", async () => {
    const worker = await start({ build: "build-trap" });
    assert.equal((await worker.visit(TAGGED)).cookies.length, 2);
    shop.requests.length = 0;
    const answer = await worker.visit(TRAP, { headers: { ...NAVIGATION, "x-ud-visitor": "claimed" } });
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.body, PAGE);
    assert.deepEqual(answer.cookies, []);
    assert.equal(shop.requests.length, 1);
    assert.equal(shop.last().headers["x-ud-visitor"], undefined);
    assert.equal((await worker.visit(TAGGED)).cookies.length, 2);
    const { counters } = await worker.health();
    assert.equal(counters.capture_failed, 1);
    assert.equal(counters.replaced, 1);
    assert.equal(counters.captured, 2);
    assert.match(worker.log(), /the WASM failed and is replaced/);
    assert.doesNotMatch(worker.log(), /ud_trap|203\.0\.113|Chrome/, "nothing of the visitor is logged");
  });

  it("touches none of the requests in flight: each reaches the origin once and keeps its cookies and its event", async () => {
    const worker = await start({ build: "build-trap" });
    const inFlight = Array.from({ length: 20 }, (_, i) => worker.visit(`/slow?utm_source=s${i}`));
    await until("all of them wait for the origin", () => shop.sockets.size >= 20);
    const trapped = await Promise.all(Array.from({ length: 5 }, () => worker.visit(TRAP)));
    const late = await worker.visit(TAGGED);
    for (const answer of trapped) assert.deepEqual(answer.body, PAGE);
    assert.equal(late.cookies.length, 2);
    for (const answer of await Promise.all(inFlight)) {
      assert.equal(answer.status, 200);
      assert.equal(answer.cookies.length, 2);
    }
    assert.equal(shop.requests.filter(({ url }) => url.startsWith("/slow")).length, 20);
    assert.equal(shop.requests.length, 26);
    await until("their events are queued", () => broker.events().length >= 21);
    assert.equal(new Set(broker.events().map(({ session }) => session.id)).size, 21);
  });

  it("between two landings of a visitor changes nothing for the visitor", async () => {
    const worker = await start({ build: "build-trap" });
    const cookie = jar(await worker.visit(TAGGED));
    const known = shop.last().headers["x-ud-visitor"];
    await worker.visit(TRAP, { headers: { ...NAVIGATION, cookie } });
    await worker.visit("/cart", { headers: { ...NAVIGATION, cookie } });
    assert.equal(shop.last().headers["x-ud-visitor"], known);
  });

  it("cannot be had in the build that is deployed", async () => {
    const worker = await start();
    assert.equal((await worker.visit(TRAP)).cookies.length, 2);
    assert.equal((await worker.health()).counters.capture_failed, 0);
  });
});

describe("misconfigured settings", () => {
  const cases = {
    "no settings at all": [{}, /UD_/],
    "settings that are no JSON": [{ ...BINDINGS, UD_SETTINGS: "{" }, /text/],
    "an unknown field": [settings({ boots: "keep" }), /boots/],
    "a weak cookie key": [{ ...BINDINGS, UD_COOKIE_KEYS: "k1:short-secret" }, /cookie/i],
    "no hash key": [{ ...BINDINGS, UD_HASH_KEY: "" }, /hash/i],
    "an ingest key that cannot be read": [{ ...BINDINGS, UD_INGEST_KEY: "nocolon" }, /UD_INGEST_KEY/],
    "a centre that is no address": [{ ...BINDINGS, UD_CENTRE_URL: "centre" }, /UD_CENTRE_URL/],
  };
  for (const [what, [bindings, named]] of Object.entries(cases)) {
    it(`${what}: everything passes, health names it, no secret is shown`, async () => {
      const worker = await start({ bindings });
      for (const path of [TAGGED, "/a.css", "/302"]) {
        const answer = await worker.visit(path, { headers: { ...NAVIGATION, "x-ud-visitor": "claimed" } });
        assert.ok(answer.status < 400);
        assert.deepEqual(answer.cookies.filter((cookie) => cookie.includes("ud_")), []);
        assert.equal(shop.last().headers["x-ud-visitor"], undefined);
      }
      assert.equal(shop.requests.length, 3);
      const health = await ask(worker.port, "/_ud/health");
      assert.equal(health.status, 503);
      assert.equal(JSON.parse(health.body).status, "misconfigured");
      assert.match(JSON.parse(health.body).error, named);
      assert.doesNotMatch(health.body.toString() + worker.log(), /short-secret|bbbbbbbb|nocolon/);
      assert.equal(worker.log().split("the settings cannot be used").length, 2, "it is logged once");
    });
  }
});

describe("delivery that fails", () => {
  it("a dead queue: visitors notice nothing and the events go to the centre directly", async () => {
    const worker = await start();
    broker.broken = true;
    const answer = await worker.visit(TAGGED);
    assert.equal(answer.status, 200);
    assert.equal(answer.cookies.length, 2);
    await until("the centre has the event", () => shop.events().length === 1);
    assert.equal(shop.events()[0].touch.utm_source, "Google");
    // Once the answer has come back, which is after the centre has the event.
    await until("it is counted", async () => (await worker.health()).counters.events_posted === 1);
    assert.equal((await worker.health()).counters.events_lost, 0);
  });

  it("a dead queue and a dead centre: visitors notice nothing and the loss is counted", async () => {
    const worker = await start({ bindings: { ...BINDINGS, UD_CENTRE_URL: "http://127.0.0.1:1" } });
    broker.broken = true;
    shop.answerBatch = () => ({ status: 503 });
    const answer = await worker.visit(TAGGED);
    assert.equal(answer.cookies.length, 2);
    await until("the loss is logged", () => worker.log().includes("events are lost"), 10_000);
    assert.equal((await worker.health()).counters.events_lost, 1);
    assert.doesNotMatch(worker.log(), /203\.0\.113|Google|EAIa/);
  });

  it("a client that leaves before the answer takes no event with it", async () => {
    const worker = await start();
    const { request } = await import("node:http");
    const gone = request({ host: "127.0.0.1", port: worker.port, path: "/slow?utm_source=gone", headers: NAVIGATION, agent: false }).on("error", () => {});
    gone.end();
    await until("the origin was asked", () => shop.sockets.size > 0);
    gone.destroy();
    await worker.visit(TAGGED);
    await until("the other visitor's event is queued", () => broker.events().some(({ touch }) => touch.utm_source === "Google"));
  });
});

describe("without a queue", () => {
  it("events are posted to the centre after the response", async () => {
    const worker = await start({ broker: undefined });
    assert.equal((await worker.visit(TAGGED)).cookies.length, 2);
    await until("the centre has the event", () => shop.events().length === 1);
    const [batch] = shop.batches;
    assert.equal(batch.schema, 1);
    assert.equal(batch.site, "shop");
    assert.equal((await worker.health()).delivery, "direct");
  });

  it("a centre that is down for a moment is asked again", async () => {
    const worker = await start({ broker: undefined });
    let calls = 0;
    shop.answerBatch = () => (++calls === 1 ? { status: 503 } : {});
    await worker.visit(TAGGED);
    await until("the second try arrives", () => calls === 2);
    await until("it is counted", () => shop.batches.some(({ status }) => status === 200));
    assert.equal((await worker.health()).counters.events_lost, 0);
  });
});

describe("the origin is down", () => {
  it("the visitor sees what the runtime shows without us", async () => {
    const [nobody] = await freePorts(1);
    const worker = await start({ origin: nobody });
    const sees = (path) => worker.visit(path).then(({ status, body }) => ({ status, body: body.toString() }), ({ code }) => ({ code }));
    const captured = await sees(TAGGED);
    assert.deepEqual(captured, await sees("/a.css"));
    assert.ok(captured.code || captured.status >= 500, JSON.stringify(captured));
    assert.deepEqual(broker.messages, []);
  });
});
