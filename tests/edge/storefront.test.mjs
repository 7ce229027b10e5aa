// The storefront path on the real runtime: what is captured, and that the visitor always gets the shop's own answer.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import net from "node:net";
import { after, before, beforeEach, describe, it } from "node:test";
import { gunzipSync } from "node:zlib";

import { BINDINGS, CF, HOST, NAVIGATION, PAGE, TAGGED, ask, jar, openBroker, openShop, settings, settled, until } from "./shop.mjs";
import { startWorker } from "./workerd.mjs";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

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
const visit = (path, options) => ask(worker.port, path, options);
const event = () => until("an event is queued", () => broker.events()[0]);
/** Nothing was queued: waits longer than a flush takes. */
const quiet = async () => {
  await new Promise((done) => setTimeout(done, 60));
  assert.deepEqual(broker.messages, []);
};

describe("a tagged landing", () => {
  it("gives the visitor signed cookies, tells the origin who it is, and queues one event", async () => {
    const answer = await visit(TAGGED);
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.body, PAGE);
    assert.equal(answer.cookies.length, 2);
    for (const cookie of answer.cookies) assert.match(cookie, /^__Secure-ud_[vs]=[^;]+; Max-Age=\d+; Path=\/; Secure; HttpOnly; SameSite=Lax$/);
    const { headers } = shop.last();
    assert.match(headers["x-ud-visitor"], UUID);
    assert.match(headers["x-ud-session"], UUID);
    assert.equal(headers.host, HOST);
    const seen = await event();
    assert.equal(broker.messages[0].format, "text");
    assert.equal(seen.action, "page_view");
    assert.equal(seen.visitor, headers["x-ud-visitor"]);
    assert.equal(seen.session.id, headers["x-ud-session"]);
    assert.equal(seen.session.visit, 1);
    assert.equal(seen.touch.utm_source, "Google");
    assert.equal(seen.touch.utm_campaign, "осінь");
    assert.equal(seen.touch.click_ids.gclid, "EAIaIQobChMI4aXn5_abcDEF0123456789");
    assert.equal(seen.touch.landing_path, "/product/42");
    assert.equal(seen.context.country, CF.country);
    assert.equal(seen.context.city, CF.city);
    assert.equal(seen.context.asn, CF.asn);
    assert.equal(seen.context.ip, "203.0.113.0", "the address is cut to its network");
    assert.equal(shop.requests.length, 1, "the origin is asked once");
  });

  it("is the same visitor and session when the cookies come back", async () => {
    const first = await visit(TAGGED);
    const { "x-ud-visitor": visitor, "x-ud-session": session } = shop.last().headers;
    await visit("/cart", { headers: { ...NAVIGATION, cookie: `theme=dark; ${jar(first)}`, referer: `https://${HOST}/product/42`, "sec-fetch-site": "same-origin" } });
    assert.equal(shop.last().headers["x-ud-visitor"], visitor);
    assert.equal(shop.last().headers["x-ud-session"], session);
    assert.match(shop.last().headers.cookie, /theme=dark/, "the shop's own cookies reach the origin");
    const second = await until("the second event", () => broker.events().find(({ path }) => path === "/cart"));
    assert.equal(second.session.id, session);
  });

  it("leaves the origin's own cookies as separate lines", async () => {
    const { cookies } = await visit(`/cookies?utm_source=x`);
    assert.deepEqual(cookies.slice(0, 2), ["shop=1; Path=/", "cart=a=b; HttpOnly"]);
    assert.equal(cookies.length, 4);
  });

  it("makes a public answer private when it carries an id, and keeps its age", async () => {
    const marked = await visit("/public?utm_source=x");
    assert.equal(marked.headers["cache-control"], "private, max-age=600");
    const asset = await visit("/public", { headers: { ...NAVIGATION, "sec-fetch-mode": "cors", "sec-fetch-dest": "empty" } });
    assert.equal(asset.headers["cache-control"], "public, max-age=600, s-maxage=3600");
  });

  it("hands over many overlapping landings in few messages and loses none", async () => {
    await Promise.all(Array.from({ length: 200 }, (_, n) => visit(TAGGED, { headers: { ...NAVIGATION, "cf-connecting-ip": `192.0.2.${n}` } })));
    await until("all events are queued", () => broker.events().length >= 200);
    assert.equal(broker.events().length, 200);
    assert.equal(new Set(broker.events().map(({ id }) => id)).size, 200);
    assert.ok(broker.messages.length < 200);
    for (const { text } of broker.messages) assert.ok(Buffer.byteLength(text) < 128_000);
  });
});

describe("the answer passes through", () => {
  it("in chunks as they come", async () => {
    const { chunks, body, cookies } = await visit("/chunks?utm_source=x");
    assert.equal(body.toString(), "<p>0</p><p>1</p><p>2</p><p>3</p><p>4</p>");
    assert.equal(cookies.length, 2);
    assert.ok(chunks.length >= 5, `${chunks.length} chunks`);
    assert.ok(chunks.at(-1).at - chunks[0].at > 300, "the first chunk did not wait for the last");
  });

  it("with gzip untouched", async () => {
    const { headers, body, cookies } = await visit("/gzip?utm_source=x", { headers: { ...NAVIGATION, "accept-encoding": "gzip" } });
    assert.equal(headers["content-encoding"], "gzip");
    assert.equal(headers.etag, '"abc"');
    assert.deepEqual(gunzipSync(body), PAGE);
    assert.equal(cookies.length, 2);
  });

  for (const [path, status] of [["/304", 304], ["/302?utm_source=x", 302], ["/204", 204], ["/404", 404], ["/500", 500]]) {
    it(`with status ${status}`, async () => {
      const answer = await visit(path);
      assert.equal(answer.status, status);
      assert.equal(shop.requests.length, 1);
      if (status === 302) assert.equal(answer.headers.location, "/next?a=1");
      if (status === 304) assert.equal(answer.headers.etag, '"abc"');
      if (status >= 400) {
        assert.match(answer.body.toString(), /not here|broken/);
        assert.deepEqual(answer.cookies, [], "an error is no landing");
        await quiet();
      }
    });
  }

  it("and a redirect remembers the click without counting a page", async () => {
    const redirect = await visit("/302?gclid=abc");
    assert.deepEqual(redirect.cookies.slice(0, 2), ["shop=1; Path=/", "lang=uk"]);
    assert.equal(redirect.cookies.length, 4);
  });

  it("and a click that is sent on to another host of the shop is counted there alone", async () => {
    const away = await visit("/to-www?gclid=abc");
    assert.deepEqual([away.status, away.headers.location, away.cookies], [301, `https://www.${HOST}/?gclid=abc`, []]);
    await quiet();
  });

  it("for HEAD, which is never counted", async () => {
    const answer = await visit(TAGGED, { method: "HEAD" });
    assert.equal(answer.headers["content-length"], String(PAGE.length));
    assert.equal(answer.body.length, 0);
    assert.deepEqual(answer.cookies, []);
    await quiet();
  });

  for (const known of [false, true]) {
    it(`for a 3 MB POST ${known ? "of a known visitor, who is named to the origin" : "of a stranger"}`, async () => {
      const cookie = known ? jar(await visit(TAGGED)) : "a=b";
      broker.messages.length = 0;
      const body = randomBytes(3_000_000);
      const answer = await visit("/upload", { method: "POST", body, headers: { ...NAVIGATION, cookie, "sec-fetch-dest": "empty" } });
      const got = JSON.parse(answer.body);
      assert.deepEqual(got, { bytes: body.length, sha256: createHash("sha256").update(body).digest("hex"), length: "3000000" });
      assert.equal(UUID.test(shop.last().headers["x-ud-visitor"] ?? ""), known);
      assert.equal(UUID.test(shop.last().headers["x-ud-session"] ?? ""), known);
    });
  }

  it("with the headers as they came, but for our two", async () => {
    const headers = { ...NAVIGATION, cookie: "a=b", "x-forwarded-for": "1.2.3.4", "accept-encoding": "gzip, br", "if-none-match": '"abc"', range: "bytes=0-9", authorization: "Basic eDp5", "cache-control": "no-cache" };
    const seen = async (more) => {
      await visit(TAGGED, { headers: { ...headers, ...more } });
      const { "x-ud-visitor": visitor, "x-ud-session": session, "sec-purpose": _, ...rest } = shop.last().headers;
      return { named: Boolean(visitor && session), rest };
    };
    const landing = await seen({});
    const untouched = await seen({ "sec-purpose": "prefetch" });
    assert.deepEqual([landing.named, untouched.named], [true, false]);
    assert.deepEqual(landing.rest, untouched.rest);
  });

  it("with the URL as it came", async () => {
    for (const url of ["/a%20b/%D0%BA?x=%7B%7D&y=a+b&&z", "/a//b/./c?q=it's|\"fine\"", "/?", "/x?a=1?b=2", "/%zz?%", "/a/../b?c=../d", "/a/%2E%2e/b"]) {
      await visit(url);
      const ours = shop.last().url;
      await visit(url, { headers: { ...NAVIGATION, "sec-fetch-dest": "image" } });
      assert.equal(ours, shop.last().url, "a landing's URL reaches the origin like any other request's");
    }
  });
});

describe("what is not a landing stays without cookies and events", () => {
  const without = (...names) => Object.fromEntries(Object.entries(NAVIGATION).filter(([name]) => !names.includes(name)));
  const cases = {
    "a stylesheet": ["/static/site.css?v=3", { ...NAVIGATION, "sec-fetch-dest": "style" }],
    "a picture asked for like a page": ["/logo.png", NAVIGATION],
    "a call of a script": ["/api/cart", { ...NAVIGATION, "sec-fetch-dest": "empty", "sec-fetch-mode": "cors", accept: "*/*" }],
    "a prefetch": [TAGGED, { ...NAVIGATION, "sec-purpose": "prefetch" }],
    "a prerender": [TAGGED, { ...NAVIGATION, "sec-purpose": "prefetch;prerender" }],
    "an old prefetch": [TAGGED, { ...NAVIGATION, purpose: "prefetch" }],
    "a frame": [TAGGED, { ...NAVIGATION, "sec-fetch-dest": "iframe" }],
    "an old frame": [TAGGED, { ...NAVIGATION, "sec-fetch-dest": "frame" }],
    "an embedded page": [TAGGED, { ...NAVIGATION, "sec-fetch-dest": "embed" }],
    "an excluded path": ["/wp-admin/index.php", NAVIGATION],
    "JSON for a client without Sec-Fetch": ["/json", { ...without("sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site"), accept: "application/json" }],
    "an answer that is no page": ["/json", NAVIGATION],
  };
  for (const [what, [path, headers]] of Object.entries(cases)) {
    it(what, async () => {
      const answer = await visit(path, { headers });
      assert.equal(answer.status, 200);
      assert.deepEqual(answer.cookies, []);
      assert.equal(shop.requests.length, 1);
      await quiet();
    });
  }

  it("an old browser without Sec-Fetch is a landing all the same", async () => {
    const answer = await visit(TAGGED, { headers: without("sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site") });
    assert.equal(answer.cookies.length, 2);
    await event();
  });

  it("a page that a service worker asks for is a landing", async () => {
    const answer = await visit(TAGGED, { headers: { ...NAVIGATION, "sec-fetch-dest": "empty" } });
    assert.equal(answer.cookies.length, 2);
    assert.equal((await event()).touch.utm_source, "Google");
  });
});

describe("what a client claims is not believed", () => {
  const claims = { "x-ud-visitor": "0199f0aa-1111-7222-8333-444455556666", "X-UD-Session": "me" };
  for (const [what, path, more] of [["a landing", TAGGED, {}], ["an asset", "/a.css", {}], ["a call", "/api", { "sec-fetch-mode": "cors", "sec-fetch-dest": "empty" }], ["a page of a bot", "/", { "user-agent": "Googlebot/2.1 (+http://www.google.com/bot.html)" }]]) {
    it(`X-UD headers of ${what}`, async () => {
      await visit(path, { headers: { ...NAVIGATION, ...claims, ...more } });
      assert.notEqual(shop.last().headers["x-ud-visitor"], claims["x-ud-visitor"]);
      assert.notEqual(shop.last().headers["x-ud-session"], "me");
    });
  }

  it("a forged cookie is a new visitor", async () => {
    const own = jar(await visit(TAGGED));
    const { "x-ud-visitor": known } = shop.last().headers;
    for (const cookie of [own.replace(/.(?=;|$)/g, (c) => (c === "0" ? "1" : "0")), "__Secure-ud_v=1.k2.junk; __Secure-ud_s=", `__Secure-ud_v=${"x".repeat(4000)}`]) {
      const answer = await visit(TAGGED, { headers: { ...NAVIGATION, cookie } });
      assert.equal(answer.status, 200);
      assert.match(shop.last().headers["x-ud-visitor"], UUID);
      assert.notEqual(shop.last().headers["x-ud-visitor"], known);
      assert.equal(answer.cookies.length, 2);
    }
  });

  it("a cookie signed with the older key still opens and is written again", async () => {
    const old = await startWorker({ bindings: { ...BINDINGS, UD_COOKIE_KEYS: `k1:${"a".repeat(32)}` }, origin: shop.port, broker: broker.port });
    try {
      const cookie = jar(await ask(old.port, TAGGED));
      const { "x-ud-visitor": known } = shop.last().headers;
      const answer = await visit("/cart", { headers: { ...NAVIGATION, cookie } });
      assert.equal(shop.last().headers["x-ud-visitor"], known);
      assert.match(answer.cookies.join(), /ud_v=1\.k2\./);
      assert.match(answer.cookies.join(), /ud_s=1\.k2\./);
    } finally {
      await old.stop();
    }
  });
});

describe("consent", () => {
  it("GPC leaves no id: not in cookies, not at the origin, not in the event", async () => {
    const answer = await visit(TAGGED, { headers: { ...NAVIGATION, "sec-gpc": "1" } });
    assert.deepEqual(answer.cookies, []);
    assert.equal(shop.last().headers["x-ud-visitor"], undefined);
    const seen = await event();
    assert.equal(seen.consent, "gpc");
    assert.equal(seen.visitor, undefined);
    assert.equal(seen.session, undefined);
    assert.doesNotMatch(broker.messages[0].text, /EAIaIQ/, "a click id is an id too");
  });

  it("a refusal in the shop's banner takes the cookies away and leaves no id", async () => {
    const careful = await startWorker({ bindings: settings({ consent: { mode: "respect", cookie: "banner", accepted: ["all"], refused: ["none"] } }), origin: shop.port, broker: broker.port });
    try {
      const yes = await ask(careful.port, TAGGED, { headers: { ...NAVIGATION, cookie: "banner=all" } });
      assert.equal(yes.cookies.length, 2);
      await event();
      broker.messages.length = 0;
      const no = await ask(careful.port, TAGGED, { headers: { ...NAVIGATION, cookie: `banner=none; ${jar(yes)}` } });
      assert.equal(no.cookies.length, 2);
      for (const cookie of no.cookies) assert.match(cookie, /=; Max-Age=0;/);
      assert.equal(shop.last().headers["x-ud-visitor"], undefined);
      const seen = await event();
      assert.equal(seen.consent, "refused");
      assert.equal(seen.visitor, undefined);
      assert.doesNotMatch(broker.messages[0].text, /EAIaIQ/);
    } finally {
      await careful.stop();
    }
  });
});

describe("bots", () => {
  for (const [what, agent, reason] of [["a crawler", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "declared_crawler"], ["a program", "python-requests/2.32", "http_client"], ["nobody", null, "no_user_agent"]]) {
    it(`${what} gets the page without cookies and is counted as ${reason}`, async () => {
      const headers = { ...NAVIGATION, "user-agent": agent };
      if (agent === null) delete headers["user-agent"];
      const answer = await visit(TAGGED, { headers });
      assert.deepEqual(answer.body, PAGE);
      assert.deepEqual(answer.cookies, []);
      const seen = await event();
      assert.equal(seen.bot, reason);
      assert.equal(seen.visitor, undefined);
    });
  }
});

describe("an address from which more landings come than people make", () => {
  it("is a bot's for those without a cookie, until the window ends", async () => {
    const crowd = { ...NAVIGATION, "cf-connecting-ip": "198.51.100.9" };
    const visitor = jar(await visit(TAGGED, { headers: crowd }));
    let refused;
    for (let landings = 0; landings < 450 && !refused; landings += 15) {
      const answers = await Promise.all(Array.from({ length: 15 }, () => visit(TAGGED, { headers: crowd })));
      refused = answers.find(({ cookies }) => cookies.length === 0);
    }
    assert.deepEqual(refused?.body, PAGE, "the page comes all the same");
    await until("the verdict", () => broker.events().some(({ bot }) => bot === "rate"));
    const known = await visit("/cart", { headers: { ...crowd, cookie: visitor } });
    assert.ok(known.cookies.length > 0, "whoever was there before is no bot");
    assert.equal((await visit(TAGGED)).cookies.length, 2, "other addresses are not touched");
  });
});

describe("hostile requests get the shop's answer", () => {
  const raw = (headers, path = "/") => new Promise((resolve, reject) => {
    const socket = net.connect(worker.port, "127.0.0.1");
    const chunks = [];
    socket.on("data", (data) => chunks.push(data)).on("end", () => resolve(Buffer.concat(chunks).toString("latin1"))).on("error", reject);
    socket.write(Buffer.concat([Buffer.from(`GET ${path} HTTP/1.1\r\nHost: ${HOST}\r\nAccept: text/html\r\nConnection: close\r\n`), ...headers, Buffer.from("\r\n")]));
  });
  const line = (name, value) => Buffer.concat([Buffer.from(`${name}: `), Buffer.from(value), Buffer.from("\r\n")]);
  const cases = {
    "invalid UTF-8 in User-Agent, Cookie and Referer": [line("User-Agent", Buffer.from([0x4d, 0xff, 0xfe, 0xc3, 0x28])), line("Cookie", Buffer.from([0xf0, 0x28, 0x8c, 0x28])), line("Referer", Buffer.from([0xed, 0xa0, 0x80]))],
    "16 KB of User-Agent": [line("User-Agent", "M".repeat(16_000))],
    "16 KB of Cookie": [line("Cookie", "a=b; ".repeat(3_200)), line("User-Agent", "Mozilla/5.0")],
    "commas and colons in values": [line("User-Agent", "a,b,c\t: d"), line("X-Odd,Name".replace(",", "-"), ",,,")],
    "a cookie of ours twice, both junk": [line("Cookie", "__Secure-ud_v=1; __Secure-ud_v=2; __Secure-ud_s=1.k2..0"), line("User-Agent", "Mozilla/5.0")],
    "a country that is an object": [line("cf-blob", '{"country":{"a":1},"asn":"x","city":null,"botManagement":7}'), line("User-Agent", "Mozilla/5.0")],
    "a referrer that is no URL": [line("Referer", "://///"), line("User-Agent", "Mozilla/5.0")],
  };
  for (const [what, headers] of Object.entries(cases)) {
    it(what, async () => {
      const text = await raw(headers, "/?utm_source=x");
      assert.match(text, /^HTTP\/1\.1 200 /);
      assert.ok(text.includes("<title>shop</title>"));
      assert.equal(shop.requests.length, 1);
    });
  }

  it("a place with line breaks, objects, depth and length moves no other field", async () => {
    const cf = { ...CF, city: "Kyiv\nGET\nhttps://evil.example/", region: { a: 1 }, timezone: [["Europe/Kyiv"]], asOrganization: "x".repeat(20_000), deep: JSON.parse("[".repeat(1_000) + "]".repeat(1_000)) };
    await visit(TAGGED, { headers: { ...NAVIGATION, "cf-blob": JSON.stringify(cf) } });
    const { context } = await event();
    assert.deepEqual([context.country, context.city, context.region, context.time_zone, context.continent, context.asn], [CF.country, undefined, undefined, undefined, CF.continent, CF.asn]);
    assert.equal(context.as_organization.length, 255);
  });

  it("a query of 8 KB, of escapes and of NUL", async () => {
    for (const query of ["utm_source=" + "%D1%97".repeat(1_300), "utm_source=%00%00a&utm_medium=%FF%FE", "utm_source=%ED%A0%80&%=&=&&&gclid=" + "g".repeat(4_000)]) {
      const answer = await visit(`/?${query}`);
      assert.equal(answer.status, 200);
      const seen = await event();
      assert.doesNotMatch(JSON.stringify(seen), /\\u0000/);
      broker.messages.length = 0;
    }
  });
});
