// What the worker answers itself: the browser script, the collect endpoint, the health page.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { gzipSync } from "node:zlib";

import { BINDINGS, HOST, NAVIGATION, TAGGED, ask, jar, openBroker, openShop, settled, until } from "./shop.mjs";
import { built, startWorker } from "./workerd.mjs";

let shop, broker, worker;
before(async () => {
  shop = await openShop();
  broker = await openBroker();
  worker = await startWorker({ bindings: BINDINGS, origin: shop.port, broker: broker.port });
});
after(async () => {
  await worker?.stop();
  await Promise.all([shop?.close(), broker?.close()]);
});
beforeEach(async () => {
  await settled(worker.port);
  shop.requests.length = 0;
  broker.messages.length = 0;
});
let visitors = 0;
const BEACON = { ...NAVIGATION, accept: "*/*", origin: `https://${HOST}`, referer: `https://${HOST}/product/42`, "content-type": "text/plain;charset=UTF-8", "sec-fetch-dest": "empty", "sec-fetch-mode": "no-cors", "sec-fetch-site": "same-origin" };
/** Each test is another address, so that none meets another's limit. */
const send = (body, { headers = {}, ...more } = {}) =>
  ask(worker.port, "/_ud/e", { method: "POST", body: typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body), headers: { ...BEACON, "cf-connecting-ip": `198.51.100.${++visitors}`, ...headers }, ...more });

describe("sizes", () => {
  it("the script has at most 1.2 kB gzipped", () => {
    const bytes = gzipSync(readFileSync(join(built(), "script.txt")), { level: 9 }).length;
    assert.ok(bytes <= 1_200, `${bytes} bytes`);
  });
  it("the WASM has at most 560 KiB gzipped", () => {
    const bytes = gzipSync(readFileSync(join(built(), "edge_worker_bg.wasm")), { level: 9 }).length;
    assert.ok(bytes <= 560 * 1024, `${(bytes / 1024).toFixed(1)} KiB`);
  });
});

describe("the browser script", () => {
  it("is served by the worker, cacheable, and knows no other host", async () => {
    const answer = await ask(worker.port, "/_ud/t.js?v=1");
    assert.equal(answer.status, 200);
    assert.match(answer.headers["content-type"], /^text\/javascript/);
    assert.match(answer.headers["cache-control"], /max-age=3600/);
    assert.doesNotMatch(answer.body.toString(), /https?:|document\.cookie|localStorage|sessionStorage/);
    assert.deepEqual(answer.cookies, []);
    assert.equal(shop.requests.length, 0);
  });
});

describe("the collect endpoint", () => {
  it("takes an action of a known visitor and answers 204", async () => {
    const cookie = jar(await ask(worker.port, TAGGED));
    const { "x-ud-visitor": visitor, "x-ud-session": session } = shop.last().headers;
    await until("the landing is queued", () => broker.messages.length === 1);
    const answer = await send({ e: [{ a: "add_to_cart", p: "/product/42?x=1", pr: "sku-42", q: 2, v: "12.50", c: "UAH", t: 100 }], h: { model: "Pixel 9" }, hu: true }, { headers: { cookie } });
    assert.equal(answer.status, 204);
    assert.equal(answer.body.length, 0);
    assert.equal(shop.requests.length, 1, "the origin is not asked");
    const event = await until("the action is queued", () => broker.events().find(({ action }) => action === "add_to_cart"));
    assert.equal(event.visitor, visitor);
    assert.equal(event.session.id, session);
    assert.equal(event.origin, "script");
    assert.equal(event.human, true);
    assert.equal(event.path, "/product/42");
    assert.equal(event.value, "12.50");
    assert.equal(event.context.hints.model, "Pixel 9");
  });

  it("gives a visitor of a cached page an id in HttpOnly cookies", async () => {
    const answer = await send({ e: [{ a: "page_view", p: "/" }] });
    assert.equal(answer.status, 204);
    assert.equal(answer.cookies.length, 2);
    for (const cookie of answer.cookies) assert.match(cookie, /HttpOnly/);
  });

  it("gives no id to a visitor who asked for none", async () => {
    const answer = await send({ e: [{ a: "add_to_cart", pr: "sku-1" }] }, { headers: { "sec-gpc": "1" } });
    assert.equal(answer.status, 204);
    assert.deepEqual(answer.cookies, []);
    const event = await until("it is queued", () => broker.events()[0]);
    assert.equal(event.visitor, undefined);
    assert.equal(event.product, undefined);
  });

  const refused = {
    "another method": [405, () => ask(worker.port, "/_ud/e", { headers: BEACON })],
    "another site": [403, () => send({ e: [] }, { headers: { origin: "https://evil.example" } })],
    "no JSON": [400, () => send("{")],
    "an unknown action": [400, () => send({ e: [{ a: "steal" }] })],
    "a form": [415, () => send("a=b", { headers: { "content-type": "application/x-www-form-urlencoded" } })],
    "a large body": [413, () => send("x".repeat(33_000))],
  };
  for (const [what, [status, request]] of Object.entries(refused)) {
    it(`answers ${status} to ${what}`, async () => {
      assert.equal((await request()).status, status);
      await new Promise((done) => setTimeout(done, 30));
      assert.deepEqual(broker.messages, []);
    });
  }

  it("reads no more of a body without length than it takes", async () => {
    const { request } = await import("node:http");
    const status = await new Promise((resolve, reject) => {
      const sending = request({ host: "127.0.0.1", port: worker.port, path: "/_ud/e", method: "POST", headers: { ...BEACON, "transfer-encoding": "chunked", "cf-connecting-ip": "198.51.100.250" }, agent: false }, (answer) => { answer.resume(); resolve(answer.statusCode); });
      sending.on("error", reject);
      for (let i = 0; i < 40; i++) sending.write("x".repeat(1_000));
      sending.end();
    });
    assert.equal(status, 413);
  });

  it("survives bytes that are no text", async () => {
    for (const body of [Buffer.from([0xff, 0xfe, 0x00]), Buffer.from('{"e":[{"a":"search","l":"\xff"}]}', "latin1"), '{"e":[{"a":"search","l":"\\ud800"}]}', `{"e":${"[".repeat(10_000)}`]) {
      assert.ok([204, 400].includes((await send(body)).status));
    }
    assert.equal(JSON.parse((await ask(worker.port, "/_ud/health")).body).counters.capture_failed, 0);
  });

  it("limits how often one address may send, and only that address", async () => {
    const flood = await Promise.all(Array.from({ length: 150 }, () => send({ e: [] }, { headers: { "cf-connecting-ip": "192.0.2.1" } })));
    const limited = flood.filter(({ status }) => status === 429);
    assert.ok(limited.length >= 30 && limited.length <= 30 + 150, `${limited.length}`);
    assert.ok(limited[0].headers["retry-after"]);
    assert.equal((await send({ e: [] })).status, 204);
  });

  it("counts what it does not take", async () => {
    const refused = async () => JSON.parse((await ask(worker.port, "/_ud/health")).body).counters.collect_refused;
    const before = await refused();
    assert.equal((await send({ e: [] }, { headers: { origin: "https://elsewhere.example" } })).status, 403);
    assert.equal((await send("x".repeat(33_000))).status, 413);
    assert.equal(await refused(), before + 2);
  });
});

describe("the health page", () => {
  it("says what runs, how events leave and what became of them", async () => {
    const answer = await ask(worker.port, "/_ud/health");
    assert.equal(answer.status, 200);
    const { status, version, site, delivery, counters } = JSON.parse(answer.body);
    assert.deepEqual({ status, site, delivery }, { status: "ok", site: "shop", delivery: "queue" });
    assert.match(version, /^\d+\.\d+\.\d+$/);
    for (const name of ["passed", "captured", "capture_failed", "events_queued", "events_lost"]) assert.equal(typeof counters[name], "number", name);
    assert.doesNotMatch(answer.body.toString(), /bbbb|hhhh|secret/);
  });

  it("is no door: other paths below the prefix are 404 and never reach the origin", async () => {
    assert.equal((await ask(worker.port, "/_ud/other")).status, 404);
    assert.equal(shop.requests.length, 0);
  });
});
