// What the page says when the server is not reached or refuses: once for the whole page, in words beside a file, and no more once it is mended.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { downloaded, install, launch, open, settled } from "./panel.mjs";

let shop, browser, page;
before(async () => {
  shop = await install({ sessions: 300 });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await shop?.remove();
});
afterEach(async () => {
  await page?.context().close();
  page = undefined;
});

const banner = () => page.getByRole("alert").filter({ hasText: "Сторінку не вдалося завантажити" });
/** Waits until so many panels are without their content and nothing but the banner tells of it. */
const toldOnce = (panels) =>
  page.waitForFunction((least) => {
    const failed = [...document.querySelectorAll("section.panel")].filter((panel) => panel.innerText.includes("Не вдалося завантажити."));
    return failed.length >= least && document.querySelectorAll("[role=alert]").length === 1;
  }, panels);
/** Waits until everything is on the page again. */
const mended = () => page.waitForFunction(() => document.querySelector("[role=alert]") === null && document.querySelector('[aria-busy="true"]') === null && !document.body.innerText.includes("Не вдалося завантажити."));

test("a server that is not reached is told of once for the page, and one retry mends every panel", async () => {
  page = await open(browser, shop.url);
  await page.route("**/api/utm/**", (route) => route.abort());
  await page.getByRole("button", { name: "Тиждень" }).click();
  await banner().waitFor();
  await toldOnce(20);
  assert.match(await banner().innerText(), /не відповідає/);
  await banner().getByRole("button", { name: "Спробувати ще" }).click();
  await settled(page);
  await toldOnce(20);
  await page.unroute("**/api/utm/**");
  await banner().getByRole("button", { name: "Спробувати ще" }).click();
  await mended();
  assert.ok((await page.locator("#sources tbody tr").count()) > 0);
});

test("whoever is connected again need not press anything", async () => {
  page = await open(browser, shop.url);
  await page.context().setOffline(true);
  await page.getByRole("button", { name: "Тиждень" }).click();
  await banner().waitFor();
  await toldOnce(20);
  await page.context().setOffline(false);
  await mended();
});

test("one answer that many panels wait for is one failure, also on a phone", async () => {
  page = await open(browser, shop.url, "/analytics/dashboard", { width: 390, height: 800 });
  await page.route("**/api/v1/analytics/dashboard**", (route) => route.fulfill({ status: 500, contentType: "application/json", body: '{"error":{"code":"internal","message":"something broke"}}' }));
  await page.getByRole("button", { name: "90" }).click();
  await banner().waitFor();
  await toldOnce(5);
  assert.match(await banner().innerText(), /Помилка на сервері/);
  assert.ok(await banner().evaluate((one) => one.getBoundingClientRect().bottom <= innerHeight), "in sight");
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  await page.unroute("**/api/v1/analytics/dashboard**");
  await banner().getByRole("button", { name: "Спробувати ще" }).click();
  await mended();
});

test("a file that is refused says so in its panel, with the time to wait, and is had under its name afterwards", async () => {
  page = await open(browser, shop.url);
  const panel = page.locator("#sources");
  const link = panel.locator("a[download]").first();
  const refuse = (answer) => page.route("**/api/utm/export-csv**", (route) => (answer ? route.fulfill(answer) : route.abort()));
  const json = (status, code, headers = {}) => ({ status, headers, contentType: "application/json", body: JSON.stringify({ error: { code, message: "words of the server" } }) });
  const said = [
    [json(429, "too_many_requests", { "retry-after": "10" }), /^Файл не завантажено\. Забагато запитів одразу\. Спробуйте за 10\sс\.$/],
    [json(503, "unavailable", { "retry-after": "5" }), /^Файл не завантажено\. .*Спробуйте за 5\sс\.$/],
    [json(504, "timed_out"), /^Файл не завантажено\. Запит тривав задовго/],
    [{ status: 503, contentType: "text/html", body: "<h1>Service Unavailable</h1>" }, /^Файл не завантажено\. .*відповідь 503/],
    [null, /^Файл не завантажено\. Сервер не відповідає/],
  ];
  for (const [answer, words] of said) {
    await refuse(answer);
    await link.click();
    await panel.getByRole("alert").filter({ hasText: words }).waitFor();
    await page.unroute("**/api/utm/export-csv**");
  }
  assert.equal(new URL(page.url()).pathname, "/", "the page stays");
  assert.equal(await page.getByRole("alert").count(), 1, "the other panels have nothing to do with it");
  const wanted = await page.request.get(await link.getAttribute("href"));
  const [, name] = /filename="([^"]+)"/.exec(wanted.headers()["content-disposition"]);
  const download = await downloaded(page, link);
  assert.equal(download.suggestedFilename(), name);
  const { readFile } = await import("node:fs/promises");
  assert.deepEqual(await readFile(await download.path()), await wanted.body());
  await panel.getByRole("alert").waitFor({ state: "detached" });
});

test("a large file is left to the browser, which writes it as it comes", async () => {
  page = await open(browser, shop.url);
  const asked = [];
  const headers = { "content-type": "text/csv", "content-disposition": 'attachment; filename="large.csv"' };
  await page.route("**/api/utm/export-csv**", (route) => asked.push(route.request().resourceType()) && route.fulfill({ headers, body: Buffer.alloc(33 * 1024 * 1024, "a") }));
  const download = await downloaded(page, page.locator("#sources a[download]").first());
  assert.equal(download.url().startsWith("blob:"), false);
  assert.equal(asked[0], "fetch");
});
