// What people do with the page: choose, filter, sort, search, go back, open, download; and what it does when the server fails.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, afterEach, before, test } from "node:test";

import { ADMIN, ask, install, launch, logIn, open, read, same, settled, SITE, VIEWER } from "./panel.mjs";

let shop, browser, page;
before(async () => {
  shop = await install();
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

const figure = (name) => page.locator(`#figures [data-figure=${name}] .value`).getAttribute("title");
const first = (list, column) => page.locator(`#${list} tbody tr`).first().locator(`[data-column=${column}]`).innerText();

test("a wrong password is refused in words, a right one lets in, and leaving keeps everybody out", async () => {
  page = await open(browser, shop.url, "/", { user: null });
  await page.fill("input[name=email]", ADMIN.email);
  await page.fill("input[name=password]", "not the password");
  await page.click("form button");
  assert.match(await page.getByRole("alert").innerText(), /неправильні/);
  await logIn(page, ADMIN);
  await settled(page);
  assert.equal((await page.context().cookies()).every((cookie) => cookie.httpOnly && cookie.sameSite === "Strict"), true);
  await page.getByRole("button", { name: "Вийти" }).click();
  await page.waitForSelector("input[name=password]");
  assert.equal((await page.request.get(`/api/utm/sources?site=${SITE}`)).status(), 401);
  // The browser reports the refused password by itself; nothing else may stand there.
  assert.deepEqual(page.complaints.filter((text) => !text.includes("401")), []);
});

test("a session that ended elsewhere leads back to the login", async () => {
  page = await open(browser, shop.url, "/", { user: VIEWER });
  await shop.sql("update admin_sessions set revoked_at = now() where user_id = (select user_id from users where email = $1)", VIEWER.email);
  await page.getByRole("button", { name: "Тиждень" }).click();
  await page.waitForSelector("input[name=password]");
});

test("periods are in the address, and the back button goes through them", async () => {
  page = await open(browser, shop.url);
  const month = await figure("total_sessions");
  await page.getByRole("button", { name: "Тиждень" }).click();
  await settled(page);
  assert.match(page.url(), /period=week/);
  const week = await figure("total_sessions");
  assert.ok(same(week, (await ask(page, "/api/utm/compare", { period: "week" })).current.total_sessions));
  await page.getByRole("button", { name: "Власний" }).click();
  const { period } = await ask(page, "/api/utm/compare", { period: "week" });
  await page.getByLabel("Від", { exact: true }).fill(period.start_date);
  await page.getByLabel("До", { exact: true }).fill(period.start_date);
  await page.getByRole("button", { name: "Показати", exact: true }).click();
  await settled(page);
  const day = await ask(page, "/api/utm/compare", { start_date: period.start_date, end_date: period.start_date });
  assert.ok(same(await figure("total_sessions"), day.current.total_sessions));
  await page.goBack();
  await settled(page);
  assert.equal(await figure("total_sessions"), week);
  await page.goBack();
  await settled(page);
  assert.equal(await figure("total_sessions"), month);
  assert.deepEqual(page.complaints, []);
});

test("a click on a row filters every panel, chips take filters away again, and an address opens as it was", async () => {
  page = await open(browser, shop.url);
  const source = await first("sources", "utm_source");
  await page.locator("#sources tbody tr").first().click();
  await settled(page);
  const device = (await ask(page, "/api/utm/devices", { utm_source: source })).devices[0].device_type;
  await page.locator("#devices tbody tr").first().click();
  await settled(page);
  const both = { utm_source: source, device_type: device };
  const { current } = await ask(page, "/api/utm/compare", both);
  assert.ok(same(await figure("total_sessions"), current.total_sessions));
  assert.ok(same(await page.locator("#funnel .count").first().innerText(), current.total_sessions));
  const again = await open(browser, shop.url, new URL(page.url()).pathname + new URL(page.url()).search);
  assert.ok(same(await again.locator("#figures [data-figure=total_sessions] .value").getAttribute("title"), current.total_sessions));
  await again.context().close();
  const chips = page.getByRole("group", { name: "Фільтри" }).getByRole("button", { name: "Прибрати фільтр" });
  assert.equal(await chips.count(), 2);
  await chips.filter({ hasText: source }).click();
  await settled(page);
  assert.ok(same(await figure("total_sessions"), (await ask(page, "/api/utm/compare", { device_type: device })).current.total_sessions));
  await page.goBack();
  await settled(page);
  assert.equal(await chips.count(), 2);
  assert.deepEqual(page.complaints, []);
});

test("the row of what is not set filters by it too", async () => {
  page = await open(browser, shop.url);
  await page.locator("#campaigns tbody tr", { hasText: "(не вказано)" }).first().click();
  await settled(page);
  assert.ok(same(await figure("total_sessions"), (await ask(page, "/api/utm/compare", { utm_campaign: "(not set)" })).current.total_sessions));
});

test("a table sorts by the server, pages and finds", async () => {
  page = await open(browser, shop.url);
  await page.locator("#campaigns thead").getByRole("button", { name: "Дохід", exact: true }).click();
  await settled(page);
  const by = await ask(page, "/api/utm/campaigns", { sort: "-revenue", limit: 20 });
  assert.equal(await page.locator("#campaigns thead [aria-sort]").getAttribute("aria-sort"), "descending");
  assert.ok(same(await first("campaigns", "revenue"), by.campaigns[0].revenue));
  await page.locator("#campaigns").getByRole("button", { name: "Наступна сторінка" }).click();
  await settled(page);
  const second = await ask(page, "/api/utm/campaigns", { sort: "-revenue", limit: 20, offset: 20 });
  assert.equal(await page.locator("#campaigns tbody tr").count(), second.campaigns.length);
  assert.ok(same(await first("campaigns", "sessions"), second.campaigns[0].sessions));
  await page.locator("#campaigns").getByRole("searchbox").fill("BRAND");
  await settled(page);
  await page.waitForFunction(() => [...document.querySelectorAll("#campaigns tbody th")].every((cell) => cell.textContent.includes("brand")));
  const all = await ask(page, "/api/utm/campaigns", { limit: 1000 });
  const wanted = all.campaigns.filter((row) => [row.utm_campaign, row.utm_source].some((value) => value?.includes("brand")));
  assert.equal(await page.locator("#campaigns tbody tr").count(), Math.min(20, wanted.length));
  await page.locator("#campaigns").getByRole("searchbox").fill("no such campaign");
  await page.locator("#campaigns").getByText("Нічого не знайдено.").waitFor();
  assert.deepEqual(page.complaints, []);
});

test("how to count goes to the API, and the page's figures follow", async () => {
  page = await open(browser, shop.url);
  await page.getByText("Як рахувати").click();
  await page.getByLabel("Гроші за датою").selectOption("order");
  await settled(page);
  assert.ok(same(await figure("total_revenue"), (await ask(page, "/api/utm/compare", { attribution_date: "order" })).current.total_revenue));
  await page.getByLabel("Боти").selectOption("include");
  await settled(page);
  assert.ok(same(await figure("total_sessions"), (await ask(page, "/api/utm/compare", { attribution_date: "order", bots: "include" })).current.total_sessions));
  assert.deepEqual(page.complaints, []);
});

test("every export downloads, opens, and holds the rows of its list", async () => {
  page = await open(browser, shop.url, "/?utm_source=google");
  const links = page.locator("a[download]");
  const wanted = await links.evaluateAll((all) => all.map((link) => link.getAttribute("href")));
  assert.ok(wanted.length >= 13, wanted.join(" "));
  for (const href of wanted) {
    const type = new URL(href, shop.url).searchParams.get("type");
    const format = new URL(href, shop.url).searchParams.get("format");
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator(`a[download][href="${href}"]`).first().click()]);
    const content = readFileSync(await download.path());
    if (format === "csv") {
      const lines = content.toString("utf8").trimEnd().split("\r\n");
      assert.equal(content.subarray(0, 3).toString("hex"), "efbbbf", `${type}: no byte order mark`);
      assert.match(lines[0], /[а-яіїє]/i, `${type}: ${lines[0]}`);
      if (type === "sources") assert.equal(lines.filter((line) => line.startsWith("google")).length, 1);
      assert.ok(lines.length > 1, type);
    } else {
      assert.equal(content.subarray(0, 2).toString(), "PK", `${type}: no workbook`);
    }
  }
  assert.deepEqual(page.complaints, []);
});

test("another site is another page with its own currency", async () => {
  page = await open(browser, shop.url);
  await page.getByLabel("Сайт").selectOption("second");
  await page.waitForURL(/site=second/);
  await settled(page);
  assert.equal(read(await figure("total_sessions")), 0);
  assert.match(await figure("total_revenue"), /\$|USD/);
  assert.match(await page.locator("main").innerText(), /Даних ще немає/);
  assert.match(await page.locator("#sources").innerText(), /За цей період/);
  assert.deepEqual(page.complaints, []);
});

test("one panel's failure is its own: it says so, the others show their figures, and a retry mends it", async () => {
  page = await open(browser, shop.url, "/", { user: null });
  let broken = true;
  await page.route("**/api/utm/funnel**", (route) => (broken ? route.fulfill({ status: 500, contentType: "application/json", body: '{"error":{"code":"internal","message":"something broke"}}' }) : route.continue()));
  await page.route("**/api/utm/ltv-comparison**", (route) => (broken ? route.abort() : route.continue()));
  await logIn(page, ADMIN);
  await settled(page);
  assert.match(await page.locator("#funnel").getByRole("alert").innerText(), /something broke/);
  assert.match(await page.locator("#ltv").getByRole("alert").innerText(), /не відповідає/);
  assert.ok(read(await figure("total_sessions")) > 0);
  broken = false;
  await page.locator("#funnel").getByRole("button", { name: "Спробувати ще" }).click();
  await page.locator("#ltv").getByRole("button", { name: "Спробувати ще" }).click();
  await settled(page);
  assert.equal(await page.locator("#funnel [data-stage]").count(), 6);
  assert.ok((await page.locator("#ltv tbody tr").count()) > 0);
});

test("a question that nobody waits for any more is cancelled", async () => {
  page = await open(browser, shop.url);
  const cancelled = [];
  page.on("requestfailed", (request) => cancelled.push(request.url()));
  await page.route("**/api/utm/cohort-analysis**", async (route) => {
    await new Promise((resolve) => setTimeout(resolve, 500));
    await route.continue().catch(() => {});
  });
  await page.selectOption("#cohort-metric", "ltv");
  await page.selectOption("#cohort-metric", "orders");
  await settled(page);
  assert.ok(cancelled.some((url) => url.includes("metric=ltv")), cancelled.join(" "));
  assert.deepEqual(page.complaints, []);
});

test("a password is changed, and other logins are listed and ended", async () => {
  const other = await open(browser, shop.url, "/account", { user: VIEWER });
  page = await open(browser, shop.url, "/account", { user: VIEWER });
  await page.locator("#logins li").nth(1).waitFor();
  await page.locator("#logins").getByRole("button", { name: "Завершити" }).first().click();
  await page.locator("#logins li").nth(1).waitFor({ state: "detached" });
  assert.equal((await other.request.get("/api/v1/session")).status(), 401);
  await other.context().close();
  await page.getByLabel("Поточний пароль").fill(VIEWER.password);
  await page.getByLabel("Новий пароль", { exact: false }).first().fill("short");
  await page.getByLabel("Новий пароль", { exact: false }).first().fill("a-new-password-22");
  await page.getByLabel("Новий пароль ще раз").fill("a-new-password-23");
  await page.getByText("Паролі різні.").waitFor();
  await page.getByLabel("Новий пароль ще раз").fill("a-new-password-22");
  await page.locator("form button").click();
  await page.getByText("Пароль змінено").waitFor();
  assert.deepEqual(page.complaints, []);
  await page.context().clearCookies();
  await page.evaluate(() => localStorage.clear());
  await page.goto("/");
  await logIn(page, { ...VIEWER, password: "a-new-password-22" });
});
