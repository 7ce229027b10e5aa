// The browser script in a real Chromium, in front of it the worker in workerd: what a person does becomes the events that are queued.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import http from "node:http";
import { after, before, it } from "node:test";

import { chromium } from "playwright-core";

import { CHROME, openBroker, settings, until } from "./shop.mjs";
import { startWorker } from "./workerd.mjs";

const EXECUTABLE = [process.env.UD_TEST_CHROMIUM, "/usr/bin/chromium", "/usr/bin/google-chrome", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"].find((path) => path && existsSync(path));
const PAGE = `<!doctype html><title>shop</title><link rel="icon" href="data:,"><body style="height: 4000px; margin: 0">
<script>window.ud = window.ud || function () { (ud.q = ud.q || []).push(arguments) }; ud("product_view", { product: "tee-1" })</script>
<script async src="/_ud/t.js"></script>`;

/** As those of many shops do: pages are asked for, and come from a cache when there is no answer. */
const SERVICE_WORKER = `addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => event.request.mode === "navigate" && event.respondWith(fetch(event.request)));`;

let shop, broker, worker, chrome;
before(async () => {
  assert.ok(EXECUTABLE, "Chromium is missing (Debian, Ubuntu: apt-get install chromium)");
  shop = http.createServer((request, response) => {
    const html = { "content-type": "text/html; charset=utf-8" };
    if (request.url === "/unchanged") {
      const headers = { ...html, etag: '"1"', "cache-control": "no-cache" };
      return request.headers["if-none-match"] ? response.writeHead(304, headers).end() : response.writeHead(200, headers).end(PAGE);
    }
    if (request.url === "/worker.js") return response.writeHead(200, { "content-type": "text/javascript" }).end(SERVICE_WORKER);
    return response.writeHead(200, html).end(PAGE);
  });
  await new Promise((up) => shop.listen(0, "127.0.0.1", up));
  broker = await openBroker();
  // Over plain HTTP a browser keeps no Secure cookie, and sends Sec-Fetch headers to localhost alone.
  worker = await startWorker({ bindings: settings({ hosts: ["localhost"], secure_cookies: false }), origin: shop.address().port, broker: broker.port });
  // The name as an argument: one that the driver sets is missing from beacons of a page that is being left, and "HeadlessChrome" is a bot's.
  chrome = await chromium.launch({ executablePath: EXECUTABLE, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", `--user-agent=${CHROME}`] });
});
after(async () => {
  await chrome?.close();
  await worker?.stop();
  shop?.closeAllConnections();
  await Promise.all([broker?.close(), new Promise((done) => (shop ? shop.close(done) : done()))]);
});

it("a visit is a landing, the pages that only the script sees, what the shop reports, and how far and how long it was looked at", async () => {
  const context = await chrome.newContext({ viewport: { width: 1_000, height: 800 } });
  const page = await context.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));

  await page.goto(`http://localhost:${worker.port}/product/tee?utm_source=chromium&utm_medium=cpc`);
  await page.waitForFunction(() => !window.ud.q);
  await page.mouse.move(100, 100);
  await page.mouse.move(200, 200);
  await page.evaluate(() => window.ud("add_to_cart", { product: "tee-1", quantity: 2, value: "12.50", currency: "UAH" }));
  await page.mouse.wheel(0, 1_200);
  await page.waitForFunction(() => scrollY >= 1_200);
  await page.waitForTimeout(1_100);
  await page.evaluate(() => history.pushState({}, "", "/cart"));
  await until("the page of the single-page app is counted", () => broker.events().some(({ action, path }) => action === "page_view" && path === "/cart"), 15_000);
  await page.waitForTimeout(1_100);
  await page.goto("about:blank");
  const of = (action, path) => broker.events().filter((event) => event.action === action && (!path || event.path === path));
  await until("the last beacon of the page that was left", () => of("time_on_page", "/cart").length > 0, 15_000);

  const [landing, ...more] = of("page_view", "/product/tee");
  assert.equal(more.length, 0, "the page that the edge saw is not counted again");
  assert.equal(landing.origin, "edge");
  assert.equal(landing.touch.utm_source, "chromium");
  assert.equal(of("page_view", "/cart").length, 1);
  const [cart] = of("add_to_cart");
  assert.deepEqual([cart.product, cart.quantity, cart.value, cart.currency, cart.path], ["tee-1", 2, "12.50", "UAH", "/product/tee"]);
  assert.equal(of("product_view").length, 1, "what was called before the script came is sent too");
  const [scroll] = of("scroll", "/product/tee");
  assert.ok(scroll.amount >= 45 && scroll.amount <= 60, `scrolled to ${scroll.amount} %`);
  assert.ok(of("time_on_page", "/product/tee")[0].amount >= 1);
  const browser = broker.events().filter(({ origin }) => origin !== "edge");
  assert.ok(browser.some(({ human }) => human), "the pointer proves a person");
  for (const event of browser) assert.deepEqual([event.visitor, event.session.id], [landing.visitor, landing.session.id]);
  assert.deepEqual(problems, []);
  await context.close();
});

it("a page that the shop answers with 304 is counted once, by the edge", async () => {
  const context = await chrome.newContext();
  const page = await context.newPage();
  for (const path of ["/unchanged", "/between", "/unchanged"]) {
    await page.goto(`http://localhost:${worker.port}${path}`);
    await page.waitForFunction(() => !window.ud.q);
  }
  assert.equal(await page.evaluate(() => performance.getEntriesByType("navigation")[0].deliveryType), "cache");
  await page.evaluate(() => window.ud("search", { label: "the last call" }));
  await until("the last call arrived", () => broker.events().some(({ label }) => label === "the last call"), 15_000);
  const views = broker.events().filter(({ action, path }) => action === "page_view" && path === "/unchanged");
  assert.deepEqual(views.map(({ origin }) => origin), ["edge", "edge"]);
  await context.close();
});

it("an ad's click through a service worker that passes pages on is a landing", async () => {
  const context = await chrome.newContext();
  const page = await context.newPage();
  await page.goto(`http://localhost:${worker.port}/first?utm_source=first`);
  await page.evaluate(() => navigator.serviceWorker.register("/worker.js"));
  await page.waitForFunction(() => navigator.serviceWorker.controller);
  await page.goto(`http://localhost:${worker.port}/second?utm_source=second&gclid=abc`);
  const landing = await until("the landing is counted", () => broker.events().find(({ action, path }) => action === "page_view" && path === "/second"), 15_000);
  assert.deepEqual([landing.origin, landing.touch?.utm_source, landing.touch?.click_ids.gclid], ["edge", "second", "abc"]);
  await page.evaluate(() => window.ud("search", { label: "through a service worker" }));
  const call = await until("the call arrived", () => broker.events().find(({ label }) => label === "through a service worker"), 15_000);
  assert.deepEqual(call.session, landing.session);
  assert.equal(broker.events().filter(({ action, path }) => action === "page_view" && path === "/second").length, 1);
  await context.close();
});

it("two copies of the script count nothing twice, and what cannot be sent costs nothing else", async () => {
  const context = await chrome.newContext();
  const page = await context.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  await page.goto(`http://localhost:${worker.port}/copies`);
  await page.waitForFunction(() => !window.ud.q);
  await page.addScriptTag({ url: "/_ud/t.js?copy=2" });
  await page.evaluate(() => {
    history.pushState({}, "", "/copies/2");
    const element = document.body;
    element.fibre = { element };
    window.ud("search", { label: "beside a bad one" });
    window.ud("purchase", { order: "copies-1", quantity: 2n, element });
  });
  const purchase = await until("the calls arrived", () => broker.events().find(({ order }) => order === "copies-1"), 15_000);
  assert.equal(purchase.quantity, undefined);
  assert.equal(broker.events().filter(({ label }) => label === "beside a bad one").length, 1);
  assert.equal(broker.events().filter(({ action, path }) => action === "page_view" && path === "/copies/2").length, 1);
  assert.deepEqual(problems, []);
  await context.close();
});

it("the script reads no cookie: ours are closed to it", async () => {
  const context = await chrome.newContext();
  const page = await context.newPage();
  await page.goto(`http://localhost:${worker.port}/?utm_source=chromium`);
  assert.equal(await page.evaluate(() => document.cookie), "");
  assert.equal((await context.cookies()).filter(({ name, httpOnly }) => name.startsWith("ud_") && httpOnly).length, 2);
  await context.close();
});

it("a page that scrolls by itself has no person before it, and an arrival that the edge did not see says where it came from", async () => {
  const context = await chrome.newContext();
  const page = await context.newPage();
  // As a service worker or a prefetch does: the edge sees nothing of the navigation.
  await context.route("**/offline/**", (route) => route.fulfill({ contentType: "text/html", body: PAGE }));
  await context.addInitScript(() => {
    const entries = performance.getEntriesByType.bind(performance);
    performance.getEntriesByType = (type) => (type === "navigation" ? [{ activationStart: 0, deliveryType: "cache" }] : entries(type));
  });
  await page.goto(`http://localhost:${worker.port}/offline/a?utm_source=offline`, { referer: "https://news.example/story" });
  await page.waitForFunction(() => !window.ud.q);
  await page.evaluate(() => scrollTo(0, 900));
  const view = await until("the page is counted", () => broker.events().find(({ action, path }) => action === "page_view" && path === "/offline/a"), 15_000);
  assert.deepEqual([view.origin, view.touch.utm_source, view.touch.referrer_host], ["script", "offline", "news.example"]);
  assert.equal(await page.evaluate(() => scrollY), 900);
  await page.waitForTimeout(1_000);
  await page.goto("about:blank");
  await until("how far it scrolled", () => broker.events().some(({ action, session }) => action === "scroll" && session?.id === view.session.id), 15_000);
  assert.ok(!broker.events().some(({ human, session }) => human && session.id === view.session.id));
  await context.close();
});

/** The code blocks of a language in docs/script.md. */
const documented = (language) => [...readFileSync(new URL("../../docs/script.md", import.meta.url), "utf8").matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "gms"))].map(([, code]) => code);

it("the calls of docs/script.md do what it says, behind a # too", async () => {
  const [html] = documented("html");
  const [calls, routes] = documented("js");
  const context = await chrome.newContext();
  const page = await context.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  await page.route("**/documented", async (route) => {
    // The worker sees the page; only what stands in it is the document's.
    const response = await route.fetch();
    await route.fulfill({ response, body: `<!doctype html><title>shop</title><link rel="icon" href="data:,">${html}<script>${calls}${routes}</script>` });
  });
  const answers = [];
  page.on("response", (response) => response.url().endsWith("/_ud/e") && answers.push(response.status()));
  await page.goto(`http://localhost:${worker.port}/documented`);
  await page.waitForFunction(() => !window.ud.q);
  await page.evaluate(() => (location.hash = "#/cart"));
  const mine = () => broker.events().filter(({ origin, product, path, order, label }) => origin === "script" && (product === "tee-1" || order === "10045" || label === "blue shirt" || path === "/cart"));
  const of = (action) => mine().find((event) => event.action === action && (event.path === "/documented" || action === "page_view"));
  await until("every call arrived", () => ["product_view", "add_to_cart", "search", "lead", "custom", "page_view"].every(of), 15_000);
  const cart = of("add_to_cart");
  assert.deepEqual([cart.product, cart.quantity, cart.value, cart.currency, cart.props.size], ["tee-1", 2, "1299.50", "UAH", "M"]);
  assert.equal(of("custom").name, "size_chart");
  assert.equal(of("lead").order, "10045");
  assert.equal(of("page_view").path, "/cart");
  assert.deepEqual(problems, []);
  await context.close();
});
