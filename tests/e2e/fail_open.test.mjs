// Whatever breaks, the visitor gets the shop's own answer.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { DEVICES } from "../visits/devices.mjs";
import { CRON, install } from "./installation.mjs";

let it;
before(async () => { it = await install(); });
after(() => it?.remove());
const chrome = () => it.browser({ headers: DEVICES.find((one) => one.name === "Chrome on Windows").headers });

test("the centre down: the page is the shop's, and the queue delivers the visit once the centre is back", async () => {
  await it.centre.kill();
  const page = await chrome().arrive("/?utm_source=while-down&utm_medium=cpc");
  assert.equal(page.status, 200);
  assert.match(page.body, /Six things/);
  await it.restartCentre();
  await it.eventually("the visit is stored", async () => (await it.rows("select 1 from sessions where utm_source = 'while-down'")).length === 1, 90_000);
});

test("the shop's own error reaches the visitor unchanged and is no landing", async () => {
  const before = await it.count("sessions");
  it.origin = () => new Response("we are closed", { status: 503, headers: { "content-type": "text/html", "retry-after": "60" } });
  const page = await chrome().arrive("/?utm_source=closed");
  it.origin = undefined;
  assert.equal(page.status, 503);
  assert.equal(page.body, "we are closed");
  assert.equal(page.headers["retry-after"], "60");
  await chrome().arrive("/?utm_source=after-closed");
  await it.eventually("the next visitor is stored", async () => (await it.rows("select 1 from sessions where utm_source = 'after-closed'")).length === 1);
  assert.equal((await it.rows("select 1 from sessions where utm_source = 'closed'")).length, 0);
  assert.equal(await it.count("sessions"), before + 1);
});

test("forged and broken cookies make a new visitor, not an error", async () => {
  const real = chrome();
  await real.arrive("/?utm_source=real");
  const own = [...real.cookies].filter(([name]) => /ud_/.test(name));
  assert.ok(own.length >= 2, "the worker set its cookies");
  for (const forge of [(value) => `${value.slice(0, -4)}0000`, () => "", () => "v1.nonsense", (value) => value.toUpperCase(), () => "a".repeat(3000), () => "%00%ff"]) {
    const person = chrome();
    for (const [name, value] of own) person.cookies.set(name, forge(value));
    const page = await person.open("/");
    assert.equal(page.status, 200);
    assert.match(page.body, /Six things/);
  }
  const ids = it.seenByShop.filter((request) => request.url === "/").map((request) => request.headers["x-ud-visitor"]);
  const first = it.seenByShop.find((request) => request.url === "/?utm_source=real").headers["x-ud-visitor"];
  assert.ok(!ids.includes(first), "a forged cookie is never the real visitor");
});

test("ids that a client sends itself never reach the shop", async () => {
  const liar = chrome();
  for (const path of ["/", "/static/shop.css", "/healthz"]) await liar.send("GET", path, { extra: { "x-ud-visitor": "forged", "x-ud-session": "forged" } });
  await liar.send("POST", "/cart", { body: "product=tee-black", type: "application/x-www-form-urlencoded", extra: { "x-ud-session": "forged" } });
  assert.ok(it.seenByShop.every((request) => request.headers["x-ud-visitor"] !== "forged" && request.headers["x-ud-session"] !== "forged"));
});

test("a redirect, HEAD and an asset pass through", async () => {
  const person = chrome();
  const moved = await person.send("GET", "/moved?utm_source=redirected", { extra: { accept: "text/html", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" } });
  assert.equal(moved.status, 302);
  assert.equal(moved.headers.location, "/?utm_source=redirected");
  const head = await person.send("HEAD", "/");
  assert.equal(head.status, 200);
  const css = await person.load("/static/shop.css");
  assert.equal(css.headers["cache-control"], "public, max-age=3600");
  assert.equal(css.headers["set-cookie"], undefined);
});

test("machines are counted, with the reason, and left out of the figures", async () => {
  const crawler = it.browser({ headers: { "user-agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", accept: "text/html" } });
  const page = await crawler.send("GET", "/?utm_source=crawled");
  assert.equal(page.status, 200);
  assert.ok(![...crawler.cookies.keys()].some((name) => name.includes("ud_")), "a machine gets no cookie of ours");
  const row = await it.eventually("the machine is counted", async () => (await it.rows("select * from anonymous_hits where utm_source = 'crawled'"))[0]);
  assert.equal(row.bot_reason, 1);
  assert.equal((await it.api("/api/utm/general-stats?period=today&utm_source=crawled")).total_sessions, 0);
});

test("the cron trigger reaches the centre, signed", async () => {
  const result = await it.cron(CRON);
  assert.equal(result.outcome, "ok");
  const line = it.centre.output().split("\n").find((text) => text.includes("/internal/cron"));
  assert.match(line ?? "no request", /\b200\b/);
});

for (const [queue, what] of [[false, "without a queue"], ["down", "with a queue that is down"]]) {
  test(`${what}, the page is the shop's and the worker posts the visit itself`, async () => {
    const direct = await install({ queue });
    try {
      const page = await direct.browser({ headers: DEVICES[0].headers }).arrive("/?utm_source=direct-mode");
      assert.equal(page.status, 200);
      assert.match(page.body, /Six things/);
      await direct.eventually("the visit is stored", async () => (await direct.rows("select 1 from sessions where utm_source = 'direct-mode'")).length === 1);
    } finally {
      await direct.remove();
    }
  });
}
