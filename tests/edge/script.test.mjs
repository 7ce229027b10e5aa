// The browser script's behaviour against a stand-in for the browser's globals: which beacons leave, and when.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import vm from "node:vm";

import { built } from "./workerd.mjs";

const SOURCE = readFileSync(join(built(), "script.txt"), "utf8");

/** A browser as far as the script looks at it. `tick(ms)` moves its clock and timers; `beacons` holds what was sent. */
function browser({ src = "https://shop.ua/_ud/t.js?v=1", path = "/", referrer = "", prerendering = false, navigation = {}, hasNavigation = false, sendBeacon = true, userAgentData, early, copies = 1 } = {}) {
  let now = 1_763_600_000_000;
  const timers = new Map();
  let timerId = 0;
  const target = () => {
    const listeners = {};
    return { listeners, addEventListener: (type, listener) => (listeners[type] ??= []).push(listener) };
  };
  const beacons = [];
  const take = (url, body) => beacons.push({ url: String(url), ...JSON.parse(body) });
  const document = { ...target(), currentScript: { src }, referrer, prerendering, hidden: false, documentElement: { scrollHeight: 2_000 } };
  const navigator = { maxTouchPoints: 0, userAgentData };
  if (sendBeacon) navigator.sendBeacon = (url, body) => { take(url, body); return true; };
  const location = { pathname: path, host: "shop.ua" };
  const global = {
    ...target(), document, navigator, location, scrollY: 0, innerHeight: 500, history: { pushState(_state, _title, url) { location.pathname = url; } },
    performance: { getEntriesByType: () => [{ activationStart: 0, deliveryType: "", ...navigation }] },
    fetch: (url, { body, keepalive, method }) => { take(url, body); assert.ok(keepalive && method === "POST"); return Promise.resolve(); },
    setTimeout: (run, ms) => { timers.set(++timerId, { run, at: now + ms }); return timerId; },
    clearTimeout: (id) => timers.delete(id),
    Date: class extends Date { static now() { return now; } },
    Math, JSON, Object, Promise, String, URL,
  };
  if (hasNavigation) global.navigation = target();
  if (early) global.ud = Object.assign(() => {}, { q: early });
  global.window = global;
  const context = vm.createContext(global);
  const fire = (on, type, event = {}) => on.listeners[type]?.forEach((listener) => listener(event));
  const api = {
    global, document, location, beacons,
    ud: (...args) => context.ud(...args),
    fire: (type, event) => fire(global, type, event),
    fireDocument: (type) => fire(document, type),
    fireNavigation: () => fire(global.navigation, "currententrychange"),
    tick(ms) {
      now += ms;
      for (const [id, timer] of timers) if (timer.at <= now) { timers.delete(id); timer.run(); }
    },
    hide() { document.hidden = true; fire(document, "visibilitychange"); },
    events: () => beacons.flatMap(({ e }) => e),
  };
  for (let copy = 0; copy < copies; copy++) vm.runInContext(SOURCE, context);
  return api;
}

describe("where beacons go", () => {
  it("is beside the script, whatever the shop is called", () => {
    for (const [src, endpoint] of [
      ["https://shop.ua/_ud/t.js?v=1", "https://shop.ua/_ud/e"],
      ["https://best.jshop.ua/_ud/t.js", "https://best.jshop.ua/_ud/e"],
      ["https://t.jshop.ua/_ud/t.js?x=/t.js", "https://t.jshop.ua/_ud/e"],
    ]) {
      const page = browser({ src });
      page.ud("click");
      page.tick(600);
      assert.equal(page.beacons[0].url, endpoint);
    }
  });

  it("they never hold more than the endpoint takes, and nothing is left out", () => {
    const page = browser();
    for (let n = 0; n < 50; n++) page.ud("search", { label: "\u{457}".repeat(255), product: String(n) });
    for (let n = 0; n < 10; n++) page.tick(600);
    assert.deepEqual(page.events().map(({ pr }) => Number(pr)), [...Array(50).keys()]);
    assert.ok(page.events().every(({ t }) => t >= 0 && t < 6_000));
    for (const { url, ...body } of page.beacons) assert.ok(Buffer.byteLength(JSON.stringify(body)) <= 32_768);
  });
});

describe("a page that the edge has seen", () => {
  it("sends nothing by itself: the page is counted already", () => {
    const page = browser();
    page.tick(10_000);
    assert.deepEqual(page.beacons, []);
  });

  it("confirms a person once, at the first sign of one", () => {
    const page = browser({ referrer: "https://shop.ua/" });
    page.fire("pointermove");
    page.fire("keydown");
    page.tick(600);
    assert.deepEqual(page.beacons, [{ url: "https://shop.ua/_ud/e", e: [], hu: true }]);
    page.fire("pointerdown");
    page.tick(5_000);
    assert.equal(page.beacons.length, 1);
  });

  it("sends scroll depth and time in front when it is hidden, each once", () => {
    const page = browser();
    page.global.scrollY = 500;
    page.fire("scroll");
    page.tick(7_400);
    page.hide();
    assert.deepEqual(page.events().map(({ a, am, p }) => ({ a, am, p })), [{ a: "scroll", am: 50, p: "/" }, { a: "time_on_page", am: 7, p: "/" }]);
    const sent = page.beacons.length;
    page.fire("pagehide");
    assert.equal(page.beacons.length, sent);
  });

  it("does not count the time in the background", () => {
    const page = browser();
    page.tick(3_000);
    page.hide();
    page.tick(60_000);
    page.document.hidden = false;
    page.fireDocument("visibilitychange");
    page.tick(2_000);
    page.hide();
    assert.deepEqual(page.events().map(({ am }) => am), [3, 2]);
  });
});

describe("pages that the edge has not counted are page views of the script", () => {
  const views = (page) => { page.tick(600); return page.events().filter(({ a }) => a === "page_view").map(({ p }) => p); };
  it("prerendered, once shown", () => {
    const page = browser({ prerendering: true, navigation: { activationStart: 5 } });
    page.fire("pointermove");
    assert.deepEqual(views(page), []);
    page.fireDocument("prerenderingchange");
    assert.deepEqual(views(page), ["/"]);
  });
  it("prefetched or from a cache", () => {
    assert.deepEqual(views(browser({ navigation: { deliveryType: "navigational-prefetch", transferSize: 537 } })), ["/"]);
    assert.deepEqual(views(browser({ navigation: { deliveryType: "cache", transferSize: 0 } })), ["/"]);
  });
  it("but not one that the shop answered with 304: the edge has counted it", () => assert.deepEqual(views(browser({ navigation: { deliveryType: "cache", transferSize: 300 } })), []));
  it("back from the back/forward cache", () => {
    const page = browser();
    page.fire("pageshow", { persisted: false });
    assert.deepEqual(views(page), []);
    page.fire("pageshow", { persisted: true });
    assert.deepEqual(views(page), ["/"]);
  });
  it("a single-page app's, by history", () => {
    const page = browser();
    page.global.history.pushState(null, "", "/a");
    page.global.history.pushState(null, "", "/a");
    page.location.pathname = "/b";
    page.fire("popstate");
    assert.deepEqual(views(page), ["/a", "/b"]);
  });
  it("a single-page app's, by the Navigation API", () => {
    const page = browser({ hasNavigation: true });
    page.location.pathname = "/a";
    page.fireNavigation();
    page.fireNavigation();
    assert.deepEqual(views(page), ["/a"]);
    assert.notEqual(page.events()[0].u, undefined);
  });
});

it("a second copy of the script on a page counts nothing twice", () => {
  const page = browser({ copies: 2, early: [["search", { label: "tee" }]], hasNavigation: true });
  page.location.pathname = "/a";
  page.fireNavigation();
  page.fire("pointermove");
  page.ud("lead");
  page.tick(3_000);
  page.hide();
  assert.deepEqual(page.events().map(({ a }) => a), ["search", "page_view", "lead", "time_on_page"]);
});

describe("ud()", () => {
  it("sends the shop's actions with short keys, and what it does not know as properties", () => {
    const page = browser();
    page.ud("add_to_cart", { product: "sku-1", quantity: 2, value: "12.50", currency: "UAH", colour: "red" });
    page.tick(600);
    const [{ u, ...event }] = page.events();
    assert.match(u, /^[a-z0-9]+$/);
    assert.deepEqual(event, { a: "add_to_cart", p: "/", pr: "sku-1", q: 2, v: "12.50", c: "UAH", x: { colour: "red" }, t: 600 });
  });
  it("leaves out what cannot be sent, and nothing beside it", () => {
    const page = browser();
    const element = {};
    element.fibre = { element };
    page.ud("search", { label: "tee" });
    page.ud("purchase", { order: "7", quantity: 1n, element, callback() {}, nothing: undefined, get broken() { throw new Error("no"); }, colour: "red" });
    page.ud("click");
    page.ud("click", null);
    page.tick(600);
    assert.deepEqual(page.events().map(({ a, o, x }) => [a, o, x]), [["search", undefined, undefined], ["purchase", "7", { colour: "red" }], ["click", undefined, undefined], ["click", undefined, undefined]]);
  });
  it("says what was true when it was called", () => {
    const page = browser();
    const items = ["tee-1"];
    page.ud("add_to_cart", { items });
    items.push("tee-2");
    page.tick(600);
    assert.deepEqual(page.events()[0].x, { items: ["tee-1"] });
  });
  it("remembers calls from before it was loaded", () => {
    const page = browser({ early: [["search", { label: "чай" }], ["lead"]] });
    page.tick(600);
    assert.deepEqual(page.events().map(({ a }) => a), ["search", "lead"]);
  });
  it("never sends more events at once than the endpoint takes", () => {
    const page = browser();
    for (let i = 0; i < 120; i++) page.ud("click", { label: `${i}` });
    for (let i = 0; i < 5; i++) page.tick(600);
    assert.deepEqual(page.beacons.map(({ e }) => e.length), [50, 50, 20]);
  });
  it("falls back to fetch where there is no beacon", () => {
    const page = browser({ sendBeacon: false });
    page.ud("lead");
    page.tick(600);
    assert.equal(page.events().length, 1);
  });
});

describe("high-entropy client hints", () => {
  const userAgentData = { getHighEntropyValues: () => Promise.resolve({ platformVersion: "15.0.0", model: "" }) };
  it("go with the first beacon of an arrival from outside, and with no other", async () => {
    const page = browser({ referrer: "https://www.google.com/", userAgentData });
    await new Promise((done) => setImmediate(done));
    page.ud("lead");
    page.tick(600);
    page.ud("lead");
    page.tick(600);
    assert.deepEqual(page.beacons.map(({ h }) => h), [{ platformVersion: "15.0.0", model: "", maxTouchPoints: 0 }, undefined]);
  });
  it("stay away on the shop's further pages", () => {
    const page = browser({ referrer: "https://shop.ua/a", userAgentData });
    page.ud("lead");
    page.tick(600);
    assert.equal(page.beacons[0].h, undefined);
  });
});
