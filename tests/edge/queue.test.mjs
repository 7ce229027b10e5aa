// The queue's consumer and the cron trigger on the real runtime, call by call.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";

import { Miniflare } from "miniflare";

import { BINDINGS, TAGGED, ask, openShop, until } from "./shop.mjs";
import { COMPATIBILITY_DATE, built } from "./workerd.mjs";

let shop;
before(async () => { shop = await openShop(); });
after(() => shop?.close());
const open = [];
afterEach(() => Promise.all(open.splice(0).map((mf) => mf.dispose())));
beforeEach(() => {
  shop.requests.length = shop.batches.length = shop.crons.length = 0;
  shop.answerBatch = shop.answerCron = null;
});

async function start({ bindings = BINDINGS, build = "build", ...more } = {}) {
  const read = (name) => readFileSync(join(built(build), name));
  const mf = new Miniflare({
    modules: [{ type: "ESModule", path: "index.js", contents: read("index.js").toString() }, { type: "CompiledWasm", path: "edge_worker_bg.wasm", contents: read("edge_worker_bg.wasm") }],
    compatibilityDate: COMPATIBILITY_DATE,
    bindings,
    queueProducers: { EVENTS: { queueName: "events" } },
    outboundService: { external: { address: `127.0.0.1:${shop.port}`, http: {} } },
    ...more,
  });
  open.push(mf);
  await mf.ready;
  return mf;
}

let minted = 0;
function event(more = {}) {
  const ms = Date.now().toString(16).padStart(12, "0");
  const id = `${ms.slice(0, 8)}-${ms.slice(8)}-7000-8000-${(++minted).toString(16).padStart(12, "0")}`;
  return { id, at: Date.now(), action: "page_view", origin: "edge", path: "/", ...more };
}
const message = (body, attempts = 1) => ({ id: `m${++minted}`, timestamp: new Date(), body, attempts });
const packed = (...events) => JSON.stringify({ v: 1, events });
const text = (...events) => message(packed(...events));
const deliver = async (mf, messages) => {
  const result = await (await mf.getWorker()).queue("events", messages);
  return { ...result, acks: [...result.explicitAcks].sort(), retries: Object.fromEntries(result.retryMessages.map(({ msgId, delaySeconds }) => [msgId, delaySeconds])) };
};
const ids = (messages) => messages.map(({ id }) => id).sort();

describe("the consumer", () => {
  it("groups a hundred messages into one signed post and acknowledges each", async () => {
    const mf = await start();
    const messages = Array.from({ length: 100 }, () => text(event(), event()));
    const result = await deliver(mf, messages);
    assert.equal(result.outcome, "ok");
    assert.deepEqual(result.acks, ids(messages));
    assert.equal(shop.batches.length, 1);
    const [batch] = shop.batches;
    assert.equal(batch.schema, 1);
    assert.equal(batch.site, "shop");
    assert.equal(batch.events.length, 200);
    assert.ok(batch.request_id);
  });

  it("never posts more than the centre takes", async () => {
    const mf = await start();
    const messages = Array.from({ length: 100 }, () => text(...Array.from({ length: 30 }, () => event())));
    const result = await deliver(mf, messages);
    assert.deepEqual(result.acks, ids(messages));
    assert.ok(shop.batches.length >= 3);
    for (const { events } of shop.batches) assert.ok(events.length <= 1_000);
    assert.equal(shop.events().length, 3_000);
  });

  it("adds the device, off the visitor's path", async () => {
    const mf = await start();
    const context = { user_agent: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1" };
    await deliver(mf, [text(event({ context }))]);
    const { device } = shop.events()[0].context;
    assert.equal(device.kind, "mobile");
    assert.match(device.browser, /Safari/);
  });

  it("does not send again what the centre rejects: it keeps them with the reason", async () => {
    const mf = await start();
    shop.answerBatch = ({ events }) => ({ body: { accepted: events.length - 1, duplicates: 0, rejected: [{ index: 1, code: "too_old", message: "at is too old" }] } });
    const messages = [text(event()), text(event()), text(event())];
    const result = await deliver(mf, messages);
    assert.deepEqual(result.acks, ids(messages));
    assert.deepEqual(result.retries, {});
  });

  for (const [what, answer] of [["500", { status: 500 }], ["503", { status: 503 }], ["408", { status: 408 }], ["401 (the keys are being changed)", { status: 401 }]]) {
    it(`sends back after ${what}, later with each attempt`, async () => {
      const mf = await start();
      shop.answerBatch = () => answer;
      const [young, old] = [message(packed(event()), 1), message(packed(event()), 6)];
      const result = await deliver(mf, [young, old]);
      assert.deepEqual(result.acks, []);
      assert.ok(result.retries[young.id] >= 1);
      assert.ok(result.retries[old.id] > result.retries[young.id]);
      assert.ok(result.retries[old.id] <= 3_600);
    });
  }

  it("waits as long as a 429 asks", async () => {
    const mf = await start();
    shop.answerBatch = () => ({ status: 429, headers: { "retry-after": "77" } });
    const one = text(event());
    const result = await deliver(mf, [one]);
    assert.ok(result.retries[one.id] >= 77, `${result.retries[one.id]}`);
  });

  it("sends back when nobody listens", async () => {
    const mf = await start({ outboundService: { external: { address: "127.0.0.1:1", http: {} } } });
    const one = text(event());
    const result = await deliver(mf, [one]);
    assert.equal(result.outcome, "ok");
    assert.ok(result.retries[one.id] >= 1);
  });

  it("gives up waiting for a centre that hangs", { timeout: 40_000 }, async () => {
    const mf = await start();
    shop.answerBatch = () => ({ hang: true });
    const one = text(event());
    const began = Date.now();
    const result = await deliver(mf, [one]);
    assert.ok(Date.now() - began < 30_000);
    assert.ok(result.retries[one.id] >= 1);
  });

  it("acknowledges what one post delivered when another fails", async () => {
    const mf = await start();
    let calls = 0;
    shop.answerBatch = () => (++calls === 1 ? {} : { status: 500 });
    const messages = Array.from({ length: 60 }, () => text(...Array.from({ length: 30 }, () => event())));
    const result = await deliver(mf, messages);
    assert.ok(result.acks.length > 0 && Object.keys(result.retries).length > 0);
    assert.equal(result.acks.length + Object.keys(result.retries).length, 60);
  });

  for (const body of ["", "{", "[", "null", "7", '"text"', '{"v":1,"events":[{"no":"event"}]}', '{"v":2,"events":[]}', '{"v":1,"events":[]}', "[[[[", { an: "object" }, "x".repeat(100_000), '{"v":1,"events":[\u0000]}', '{"v":1,"events":["\\ud800"]}']) {
    it(`an unreadable message (${JSON.stringify(body).slice(0, 20)}) does not hold up its neighbours`, async () => {
      const mf = await start();
      const [before, bad, after] = [text(event()), message(body), text(event())];
      const result = await deliver(mf, [before, bad, after]);
      assert.equal(result.outcome, "ok");
      for (const good of [before, after]) assert.ok(result.acks.includes(good.id));
      assert.ok(result.acks.includes(bad.id) || bad.id in result.retries, "it is either kept by the centre or by the queue");
      const kept = shop.events().filter(({ path }) => path === "/").length;
      assert.equal(kept, 2);
    });
  }

  it("a value that JSON cannot hold does not hold up its neighbours, and bytes of a message are one", async () => {
    const mf = await start();
    const cyclic = {};
    cyclic.me = cyclic;
    const messages = [text(event()), message(cyclic), message({ n: 1n }), message(new TextEncoder().encode(packed(event()))), text(event())];
    const result = await deliver(mf, messages);
    assert.equal(result.outcome, "ok");
    assert.deepEqual(result.acks, ids([messages[0], messages[3], messages[4]]));
    assert.deepEqual(Object.keys(result.retries).sort(), ids([messages[1], messages[2]]));
    assert.equal(shop.events().length, 3);
  });

  it("never sends another site's events as its own", async () => {
    const mf = await start();
    const [mine, other] = [text(event()), message(JSON.stringify({ v: 1, site: "shop-2", events: [event()] }))];
    const result = await deliver(mf, [mine, other]);
    assert.deepEqual(result.acks, [mine.id]);
    assert.ok(other.id in result.retries);
    assert.equal(shop.events().length, 1);
  });

  it("finds the one message that a firewall refuses, so that its neighbours go on", async () => {
    const mf = await start();
    shop.answerBatch = ({ events }) => (events.some(({ path }) => path.includes("<script>")) ? { status: 403, body: "<html>blocked</html>" } : {});
    const messages = Array.from({ length: 40 }, (_, n) => message(packed(event({ path: n === 17 ? "/<script>" : "/" })), 2));
    const result = await deliver(mf, messages);
    assert.deepEqual(Object.keys(result.retries), [messages[17].id]);
    assert.equal(result.acks.length, 39);
    const stored = shop.batches.filter(({ status }) => status === 200).flatMap(({ events }) => events);
    assert.deepEqual([stored.length, new Set(stored.map(({ id }) => id)).size], [39, 39]);
    assert.ok(shop.batches.length < 20, `${shop.batches.length} posts`);
  });

  it("sends back what only half an answer came to, or a proxy's page", async () => {
    const mf = await start();
    for (const answer of [{ cut: true }, { text: "<html>Welcome</html>" }, { status: 502, text: "<html>Bad gateway</html>" }, { text: '{"accepted":1' }, { text: "{}" }]) {
      shop.answerBatch = () => answer;
      const one = text(event());
      const result = await deliver(mf, [one]);
      assert.deepEqual([result.outcome, result.acks, Object.keys(result.retries)], ["ok", [], [one.id]], JSON.stringify(answer));
    }
  });

  it("keeps everything while the settings cannot be used", async () => {
    const mf = await start({ bindings: { ...BINDINGS, UD_SETTINGS: "{" } });
    const [young, old] = [message(packed(event()), 1), message(packed(event()), 20)];
    const result = await deliver(mf, [young, old]);
    assert.equal(result.outcome, "ok");
    assert.deepEqual(result.acks, []);
    assert.ok(result.retries[young.id] >= 60 && result.retries[old.id] === 3_600, "longer with each delivery");
  });
});

it("a landing travels through the emulated queue into one signed post", { timeout: 20_000 }, async () => {
  const mf = await start({ queueConsumers: { events: { maxBatchSize: 100, maxBatchTimeout: 1, maxRetries: 3 } } });
  const { port } = await mf.ready;
  const answer = await ask(port, TAGGED);
  assert.equal(answer.status, 200);
  assert.equal(answer.cookies.length, 2);
  await until("the centre has the event", () => shop.events().length === 1, 10_000);
  assert.equal(shop.events()[0].touch.utm_source, "Google");
  assert.equal(shop.events()[0].context.device.kind, "desktop");
});

it("what the centre did not take in time comes out of the dead letters again, once", { timeout: 60_000 }, async () => {
  const queueConsumers = { events: { maxBatchSize: 100, maxBatchTimeout: 1, maxRetries: 0, deadLetterQueue: "dead" } };
  const mf = await start({ queueConsumers });
  const { port } = await mf.ready;
  shop.answerBatch = () => ({ status: 503 });
  await ask(port, TAGGED);
  await until("the centre was asked in vain", () => shop.batches.length === 1, 10_000);
  shop.answerBatch = null;
  // docs/deploy.md: the worker as consumer of that queue too.
  const dead = await (await mf.getWorker()).queue("utm-dispatcher-dead", [{ id: "d1", timestamp: new Date(), body: JSON.stringify({ v: 1, site: "shop", events: shop.batches[0].events }), attempts: 1 }]);
  assert.deepEqual(dead.explicitAcks, ["d1"]);
  assert.deepEqual(shop.batches.map(({ status }) => status), [503, 200]);
  assert.equal(shop.batches[1].events[0].id, shop.batches[0].events[0].id);
});

describe("the cron trigger", () => {
  const run = async (mf, scheduledTime = new Date(1_763_600_400_000)) => (await mf.getWorker()).scheduled({ cron: "0 * * * *", scheduledTime });

  it("asks the centre once, signed, with its slot", async () => {
    const mf = await start();
    assert.equal((await run(mf)).outcome, "ok");
    assert.deepEqual(shop.crons, [{ scheduled_time: 1_763_600_400_000, cron: "0 * * * *" }]);
  });

  it("asks again when the centre is down for a moment", { timeout: 10_000 }, async () => {
    const mf = await start();
    let calls = 0;
    shop.answerCron = () => (++calls === 1 ? 503 : 202);
    assert.equal((await run(mf)).outcome, "ok");
    assert.equal(calls, 2);
  });

  it("shows as failed when the centre refuses", async () => {
    const mf = await start();
    shop.answerCron = () => 401;
    assert.notEqual((await run(mf)).outcome, "ok");
    assert.equal(shop.crons.length, 1);
  });
});
