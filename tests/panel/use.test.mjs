// What people do with the page: choose, filter, sort, search, go back, open, download; and what it does when the server fails.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, afterEach, before, test } from "node:test";

import { apiKey } from "../stack/centre.mjs";
import { ADMIN, ask, downloaded, install, launch, logIn, open, read, same, settled, SITE, VIEWER } from "./panel.mjs";

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

test("a session that ended elsewhere leads back to the login, which says so until one logs in; who comes first or has left is told nothing", async () => {
  page = await open(browser, shop.url, "/", { user: null });
  await page.waitForSelector("input[name=password]");
  assert.equal(await page.getByRole("alert").count(), 0, "a first visit");
  await logIn(page, VIEWER);
  await settled(page);
  const end = () => shop.sql("update admin_sessions set revoked_at = now() where user_id = (select user_id from users where email = $1)", VIEWER.email);
  const said = async () => (await page.waitForSelector("input[name=password]")) && page.getByRole("alert").allInnerTexts();
  await end();
  await page.getByRole("button", { name: "Тиждень" }).click();
  assert.deepEqual(await said(), ["Сеанс завершено; увійдіть знову."]);
  await logIn(page, VIEWER);
  await settled(page);
  assert.match(page.url(), /period=week/, "one goes on where one was");
  await end();
  await page.reload();
  assert.deepEqual(await said(), ["Сеанс завершено; увійдіть знову."], "also where the page is opened anew");
  await logIn(page, VIEWER);
  await settled(page);
  await page.getByRole("button", { name: "Вийти" }).click();
  assert.deepEqual(await said(), [], "who has left");
  await logIn(page, VIEWER);
  await settled(page);
  await end();
  await page.getByRole("button", { name: "Вийти" }).click();
  assert.deepEqual(await said(), [], "who leaves what has ended already");
});

test("a session that ends while something is saved says on the login why nothing was", async () => {
  page = await open(browser, shop.url, `/settings?site=${SITE}`);
  await page.context().clearCookies();
  await page.getByRole("button", { name: "Зберегти" }).click();
  // The form's own notice stands below the login, for when one has logged in again.
  await page.getByRole("dialog").getByRole("alert").filter({ hasText: "Сеанс завершено; увійдіть знову." }).waitFor();
  await page.getByText("тож цього не зроблено").waitFor({ state: "attached" });
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

test("an advertiser's click id in the address, and a period beside two dates, keep no figure from being shown", async () => {
  page = await open(browser, shop.url);
  const { start_date: day } = (await ask(page, "/api/utm/compare", { period: "week" })).period;
  await page.goto(`/?site=${SITE}&fbclid=abc&days=7&period=today&start_date=${day}&end_date=${day}&utm_source=google`);
  await settled(page);
  assert.equal(await page.getByRole("alert").count(), 0);
  assert.deepEqual(await page.getByRole("group", { name: "Фільтри" }).getByRole("button").allInnerTexts(), ["Джерело: google"]);
  assert.ok(same(await figure("total_sessions"), (await ask(page, "/api/utm/compare", { start_date: day, end_date: day, utm_source: "google" })).current.total_sessions));
  assert.equal(await page.getByLabel("Від", { exact: true }).inputValue(), day);
  // A date alone is no period.
  await page.goto(`/?site=${SITE}&period=week&start_date=${day}`);
  await settled(page);
  assert.equal(await page.getByRole("alert").count(), 0);
  assert.equal(await page.getByRole("button", { name: "Тиждень" }).getAttribute("aria-pressed"), "true");
  assert.deepEqual(page.complaints, []);
});

test("an address that names a filter or a figure twice, or a figure that there is none of, opens like any other", async () => {
  page = await open(browser, shop.url, "/?utm_source=google&utm_source=google&time.figures=sessions,sessions,nosuch");
  assert.equal(await page.getByRole("group", { name: "Фільтри" }).getByRole("button", { name: "Прибрати фільтр" }).count(), 1);
  assert.deepEqual(await page.locator("#over-time [data-series]").evaluateAll((all) => all.map((one) => one.dataset.series)), ["sessions", "sessions", "revenue"]);
  await page.goto("/analytics/dashboard?utm_source=google&utm_source=google");
  await settled(page);
  assert.equal(await page.getByRole("button", { name: "Прибрати фільтр" }).count(), 1);
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
  // In a list of more rows than one answer may have.
  await page.locator("#campaigns").getByRole("searchbox").pressSequentially("BRAND", { delay: 5 });
  await page.waitForURL(/campaigns\.search=BRAND/);
  await settled(page);
  const all = await ask(page, "/api/utm/campaigns", { limit: 1000, sort: "-revenue" });
  const wanted = all.campaigns.filter((row) => [row.utm_campaign, row.utm_source].some((value) => value?.includes("brand")));
  assert.ok(wanted.length > 0 && wanted.length < all.total_rows);
  const shown = await page.locator("#campaigns tbody tr").evaluateAll((rows) => rows.map((row) => row.querySelector("th").innerText));
  assert.deepEqual(shown, wanted.slice(0, 20).map((row) => row.utm_campaign ?? "(не вказано)"));
  await page.locator("#campaigns").getByRole("searchbox").fill("no such campaign");
  await page.locator("#campaigns").getByText("Нічого не знайдено.").waitFor();
  assert.ok(await page.locator("#campaigns").getByRole("searchbox").evaluate((box) => box === document.activeElement), "the field stays, with the focus in it");
  await page.locator("#campaigns").getByRole("searchbox").fill("");
  await page.waitForURL((url) => !url.searchParams.has("campaigns.search"));
  await settled(page);
  assert.equal(await page.locator("#campaigns tbody tr").count(), 20);
  assert.deepEqual(page.complaints, []);
});

test("recent sessions turn round and are searched by the server, page after page, and the address keeps both", async () => {
  const page = await open(browser, shop.url, "/?period=month");
  const panel = page.locator("#sessions");
  await panel.getByRole("button", { name: "Початок" }).click();
  await page.waitForURL(/sessions\.sort=first_seen/);
  await settled(page);
  assert.equal(await panel.locator("thead [aria-sort]").getAttribute("aria-sort"), "ascending");
  assert.equal(await panel.locator("thead button").count(), 1, "no head offers an order that there is none by");
  const oldest = await ask(page, "/api/utm/sessions", { period: "month", sort: "first_seen", limit: 30 });
  const figures = () => panel.locator("tbody tr").evaluateAll((rows) => rows.map((row) => ["points", "page_views"].map((key) => row.querySelector(`[data-column=${key}]`).innerText)));
  const areThose = (shown, sessions) => shown.every(([points, views], index) => same(points, sessions[index].points) && same(views, sessions[index].page_views));
  assert.ok(areThose(await figures(), oldest.sessions));
  await panel.getByRole("searchbox").pressSequentially("lviv", { delay: 5 });
  await page.waitForURL(/sessions\.search=lviv/);
  await settled(page);
  const wanted = await ask(page, "/api/utm/sessions", { period: "month", sort: "first_seen", search: "lviv", limit: 1000 });
  assert.ok(wanted.sessions.length > 30, "more than a page");
  const file = await panel.getByRole("link", { name: "CSV" }).getAttribute("href");
  const records = (await (await page.request.get(file)).text()).trim().split("\r\n");
  assert.equal(records.length - 1, wanted.sessions.length, "the file holds what is searched for");
  assert.equal((await figures()).length, 30);
  await panel.getByRole("button", { name: "Показати ще" }).click();
  await page.waitForFunction(() => document.querySelectorAll("#sessions tbody tr").length > 30);
  const shown = await figures();
  assert.ok(areThose(shown, wanted.sessions), shown.join());
  assert.equal(shown.length, Math.min(60, wanted.sessions.length));
  await page.reload();
  await settled(page);
  assert.equal(await panel.getByRole("searchbox").inputValue(), "lviv");
  await panel.getByRole("searchbox").fill(wanted.sessions[3].id);
  await page.waitForFunction(() => document.querySelectorAll("#sessions tbody tr").length === 1);
  await panel.getByRole("searchbox").fill("no such session");
  await panel.getByText("Нічого не знайдено.").waitFor();
  // What a search of a very large site is told when it stopped half way.
  await page.route(/api\/utm\/sessions.*search=far/, async (route) => {
    const url = new URL(route.request().url());
    if (!url.searchParams.has("after")) url.searchParams.set("look_at", "5");
    url.searchParams.set("search", url.searchParams.has("after") ? "" : "no such session");
    await route.fulfill({ response: await route.fetch({ url: url.href }) });
  });
  await panel.getByRole("searchbox").fill("far");
  await panel.getByText(/^Переглянуто до .+\.$/).waitFor();
  assert.equal(await panel.locator("tbody tr").count(), 0);
  await panel.getByRole("button", { name: "Шукати далі" }).click();
  await page.waitForFunction(() => document.querySelectorAll("#sessions tbody tr").length === 30);
  assert.deepEqual(page.complaints, []);
});

test("another filter or period begins every list anew", async () => {
  page = await open(browser, shop.url, "/?campaigns.page=2&geo.kind=cities&geo.page=2&campaigns.sort=-revenue");
  const [source] = (await ask(page, "/api/utm/sources", { limit: 1 })).sources;
  await page.locator("#sources tbody tr").first().click();
  await settled(page);
  const wanted = await ask(page, "/api/utm/campaigns", { utm_source: source.utm_source, sort: "-revenue", limit: 20 });
  assert.equal(await page.locator("#campaigns tbody tr").count(), wanted.campaigns.length);
  assert.ok(same(await first("campaigns", "revenue"), wanted.campaigns[0].revenue));
  assert.doesNotMatch(page.url(), /\.page=/);
  assert.match(page.url(), /campaigns\.sort=-revenue/);
});

test("an address with a page that a list does not have any more shows its first", async () => {
  page = await open(browser, shop.url, "/?sources.page=50&geo.kind=cities&geo.page=70");
  await page.waitForURL((url) => !url.search.includes(".page="));
  await settled(page);
  const { sources } = await ask(page, "/api/utm/sources", { limit: 1 });
  assert.equal(await first("sources", "utm_source"), sources[0].utm_source ?? "(не вказано)");
  assert.equal(await page.locator("#geo tbody tr").count(), 10);
  assert.deepEqual(page.complaints, []);
});

test("every city is reached by paging and found by its country's name", async () => {
  page = await open(browser, shop.url, "/?period=all_time&geo.kind=cities");
  const all = await ask(page, "/api/utm/cities", { period: "all_time", limit: 1000, sort: "-sessions" });
  assert.match(await page.locator("#geo .pager").innerText(), new RegExp(`1–10 з ${all.total_rows}`));
  const last = Math.ceil(all.total_rows / 10);
  await page.goto(`/?period=all_time&geo.kind=cities&geo.page=${last}`);
  await settled(page);
  assert.equal(await first("geo", "city"), all.cities[(last - 1) * 10].city);
  await page.locator("#geo").getByRole("searchbox").fill("польща");
  await page.waitForURL(/geo\.search/);
  await settled(page);
  const polish = all.cities.filter((row) => row.country === "PL");
  assert.equal(await page.locator("#geo tbody tr").count(), Math.min(10, polish.length));
  assert.deepEqual(page.complaints, []);
});

test("a table that has all its rows puts them in order itself", async () => {
  page = await open(browser, shop.url);
  const { ltv_comparison: rows } = await ask(page, "/api/utm/ltv-comparison", { limit: 5 });
  const column = () => page.locator("#ltv tbody [data-column=total_sessions]").allInnerTexts();
  await page.locator("#ltv thead").getByRole("button", { name: "Сесії", exact: true }).click();
  const down = rows.map((row) => row.total_sessions).sort((a, b) => b - a);
  assert.deepEqual((await column()).map(read), down);
  await page.locator("#ltv thead").getByRole("button", { name: "Сесії" }).first().click();
  assert.deepEqual((await column()).map(read), down.toReversed());
  assert.equal(await page.locator("#ltv thead [aria-sort]").getAttribute("aria-sort"), "ascending");
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

test("the entered spend follows the address: back through the history, and away with the parameter", async () => {
  page = await open(browser, shop.url);
  const field = page.locator("#roi-spend");
  const counted = () => page.locator("#roi [data-figure=ad_spend]").innerText();
  await field.fill("1000");
  await page.waitForURL(/roi\.spend=1000/);
  await page.getByRole("button", { name: "Тиждень" }).click();
  await field.fill("2 000,5");
  await page.waitForURL(/roi\.spend=2000\.5/);
  await settled(page);
  assert.ok(same(await counted(), 2000.5));
  assert.equal(await field.inputValue(), "2 000,5", "as it was typed");
  await page.goBack();
  await settled(page);
  assert.match(page.url(), /roi\.spend=1000$/);
  assert.equal(await field.inputValue(), "1000");
  assert.ok(same(await counted(), 1000));
  await page.getByRole("link", { name: "Диспетчер" }).click();
  await settled(page);
  assert.doesNotMatch(page.url(), /roi\.spend/);
  assert.equal(await field.inputValue(), "");
  assert.match(await page.locator("#roi").innerText(), /витрат не завантажено|Завантажені витрати/, "the stored spend counts again");
  assert.deepEqual(page.complaints, []);
});

test("every panel's export downloads, opens, and holds what the panel shows", async () => {
  page = await open(browser, shop.url, "/?utm_source=google&ab.campaign=brand_always_on&ab.period=all_time&roi.spend=12345,5&cohort.metric=ltv&cohort.type=month");
  const without = await page.locator("section.panel:not(:has(a[download]))").evaluateAll((all) => all.map((panel) => panel.id));
  assert.deepEqual(without, ["sources-chart"], "its rows are those of the table of sources");
  const links = page.locator("a[download]");
  const wanted = await links.evaluateAll((all) => all.map((link) => link.getAttribute("href")));
  const lead = { "general-stats": "Сесії", funnel: "Сесії", "returning-visitors": "Перші", "repeat-rate": "Частка повторних клієнтів, %", roi: "Разом" };
  for (const href of wanted) {
    const { type, format, ...query } = Object.fromEntries(new URL(href, shop.url).searchParams);
    assert.equal(query.utm_source, "google", `${type} has the page's filter`);
    if (type === "cohort-analysis") assert.deepEqual([query.metric, query.cohort_type], ["ltv", "month"]);
    if (type === "ab-test") assert.deepEqual([query.campaign, query.period], ["brand_always_on", "all_time"]);
    if (type === "roi") assert.equal(query.ad_spend, "12345.5");
    const link = page.locator(`a[download][href="${href}"]`).first();
    const download = await downloaded(page, link);
    const content = readFileSync(await download.path());
    if (format === "csv") {
      const lines = content.toString("utf8").trimEnd().split("\r\n");
      assert.equal(content.subarray(0, 3).toString("hex"), "efbbbf", `${type}: no byte order mark`);
      assert.match(lines[0], /[а-яіїє]/i, `${type}: ${lines[0]}`);
      if (type === "sources") assert.equal(lines.filter((line) => line.startsWith("google")).length, 1);
      if (lead[type]) assert.equal(lines[1].split(",")[0].replaceAll('"', "").split(",")[0], lead[type].split(",")[0], type);
      assert.ok(lines.length > 1, type);
    } else {
      assert.equal(content.subarray(0, 2).toString(), "PK", `${type}: no workbook`);
      // The archive's own list of what is in it stands at its end, as plain text.
      assert.ok(content.subarray(-2_000).includes("xl/worksheets/sheet1.xml"), `${type}: no sheet`);
    }
  }
  assert.deepEqual(page.complaints, []);
});

test("nothing is asked twice, and the first figures are asked for first", async () => {
  page = await open(browser, shop.url);
  const asked = [];
  page.on("request", (request) => {
    const { pathname, search } = new URL(request.url());
    if (pathname.startsWith("/api/")) asked.push(pathname + search);
  });
  await page.reload();
  await settled(page);
  const late = () => asked.filter((one) => one.startsWith("/api/utm/first-and-last-touch")).length;
  assert.equal(late(), 0, "first touches are looked up for whoever looks at them");
  await page.locator("#touches").scrollIntoViewIfNeeded();
  await page.locator("#touches tbody").waitFor();
  await page.evaluate(() => scrollTo(0, 0));
  await page.locator("#touches").scrollIntoViewIfNeeded();
  await settled(page);
  assert.equal(late(), 1);
  assert.deepEqual(asked.filter((one, index) => asked.indexOf(one) !== index), []);
  const place = (name) => asked.findIndex((one) => one.startsWith(`/api/utm/${name}`));
  assert.deepEqual(asked.slice(0, 2).map((one) => one.split("?")[0]).sort(), ["/api/v1/session", "/api/v1/sites"]);
  for (const later of ["funnel", "sources", "ltv-comparison", "sessions"]) assert.ok(place("compare") < place(later) && place("catalogue") < place(later), `${later} waits`);
});

test("with a filter the coverage says that it is of all orders", async () => {
  page = await open(browser, shop.url);
  assert.match(await page.locator("#coverage").innerText(), /^Пов'язано замовлень/);
  await page.locator("#sources tbody tr").first().click();
  await settled(page);
  assert.match(await page.locator("#coverage").innerText(), /^Пов'язано з усіх замовлень/);
  await page.click("#coverage");
  assert.match(await page.locator("#coverage-sheet").innerText(), /Фільтри сторінки тут не діють/);
  assert.deepEqual(page.complaints, []);
});

test("a viewer sees every figure and export, no settings, and no identity of anybody", async () => {
  const key = apiKey(shop.env, SITE, "orders");
  const [{ session_id: session, visitor_id: visitor }] = await shop.sql("select session_id, visitor_id from sessions where bot_reason is null and purchase_at is not null order by first_seen desc limit 1");
  const now = new Date().toISOString();
  const order = { order_id: "named-1", session_id: session, visitor_id: visitor, customer_id: "customer-77", email: "known.person@shop.example", phone: "+380671234567", total: "100.00", currency: "UAH", payment_status: "paid", created_at: now, paid_at: now, updated_at: now };
  const sent = await fetch(`${shop.url}/api/v1/orders`, { method: "POST", headers: { authorization: `Bearer ${key}`, "content-type": "application/json" }, body: JSON.stringify(order) });
  assert.equal(sent.status, 200, await sent.text());
  page = await open(browser, shop.url, `/?session.id=${session}`, { user: VIEWER });
  await page.getByRole("dialog").getByText("named-1").waitFor();
  const { current } = await ask(page, "/api/utm/compare");
  assert.ok(same(await figure("total_sessions"), current.total_sessions));
  assert.equal(await page.locator("section.panel [role=alert]").count(), 0, "no panel is refused");
  const everything = JSON.stringify([...page.answers]) + (await page.locator("body").innerText());
  for (const secret of ["known.person", "380671234567", "customer-77"]) assert.ok(!everything.includes(secret), secret);
  await page.keyboard.press("Escape");
  await page.goto("/settings/users");
  await page.getByText("лише адміністратори").waitFor();
  assert.equal(await page.locator("form").count(), 0);
  for (const path of ["/api/v1/users", "/api/v1/api-keys", "/api/v1/ingest-keys", "/api/v1/audit-log", "/api/v1/dead-letters"]) {
    assert.equal((await page.request.get(`${path}?site=${SITE}`)).status(), 403, path);
  }
  const found = await page.request.post("/api/v1/privacy/find", { data: { site: SITE, email: "known.person@shop.example" }, headers: { origin: shop.url } });
  assert.equal(found.status(), 403);
  const changed = await page.request.patch(`/api/v1/sites/${SITE}`, { data: { name: "Mine" }, headers: { origin: shop.url } });
  assert.equal(changed.status(), 403);
  await page.getByRole("button", { name: "Вийти" }).click();
  await page.waitForSelector("input[name=password]");
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

test("a link to a site that is not there says so and leads to those that are, also for whom it is hidden", async () => {
  page = await open(browser, shop.url, "/?site=nosuch");
  const main = page.locator("#main");
  await main.getByRole("heading", { name: "Такого сайту немає" }).waitFor();
  assert.match(await main.innerText(), /nosuch/);
  assert.equal(await page.locator("#figures").count(), 0, "no other shop's figures");
  assert.equal([...page.answers.keys()].some((path) => path.startsWith("/api/utm/")), false, "nor are they asked for");
  assert.equal(await page.getByLabel("Сайт").locator("option:checked").innerText(), "Виберіть сайт");
  await main.getByRole("link", { name: "Demo shop" }).click();
  await settled(page);
  assert.match(page.url(), /site=demo/);
  assert.ok(read(await figure("total_sessions")) > 0);
  await page.goBack();
  await main.getByRole("heading", { name: "Такого сайту немає" }).waitFor();
  await page.getByLabel("Сайт").selectOption("second");
  await page.waitForURL(/site=second/);
  await settled(page);
  assert.match(await figure("total_revenue"), /\$|USD/);
  // An address that names none is the first site's.
  await page.goto("/");
  await settled(page);
  assert.ok(read(await figure("total_sessions")) > 0);
  assert.deepEqual(page.complaints, []);
  await page.context().close();
  const only = { email: "one.site@shop.example", password: "a-password-of-one-site" };
  await shop.command("create-site", "hidden", "--name", "Hidden shop", "--domain", "hidden.example");
  await shop.makeUser(only, "viewer", "--site", SITE);
  page = await open(browser, shop.url, "/?site=hidden", { user: only });
  await page.locator("#main").getByRole("heading", { name: "Такого сайту немає" }).waitFor();
  await page.locator("#main").getByRole("link", { name: "Demo shop" }).waitFor();
  assert.equal((await page.locator("body").innerText()).includes("Hidden shop"), false);
});

test("leaving without a connection says that it did not work, and works once there is one", async () => {
  page = await open(browser, shop.url, "/account");
  await page.route("**/api/v1/session", (route) => (route.request().method() === "DELETE" ? route.abort() : route.continue()));
  await page.getByRole("button", { name: "Вийти" }).click();
  await page.locator("header").getByRole("alert").getByText("не відповідає").waitFor();
  await page.unroute("**/api/v1/session");
  await page.getByRole("button", { name: "Вийти" }).click();
  await page.waitForSelector("input[name=password]");
  assert.deepEqual(page.complaints.filter((text) => !text.includes("ERR_FAILED")), [], "nothing is thrown that nobody catches");
});

test("a login that cannot be ended says why and stays in the list", async () => {
  const other = await open(browser, shop.url, "/account");
  page = await open(browser, shop.url, "/account");
  await page.locator("#logins li").nth(1).waitFor();
  const before = await page.locator("#logins li").count();
  await page.route("**/api/v1/sessions/*", (route) => route.abort());
  await page.locator("#logins").getByRole("button", { name: "Завершити" }).first().click();
  await page.getByRole("alert").getByText("не відповідає").waitFor();
  assert.equal(await page.locator("#logins li").count(), before);
  assert.equal((await other.request.get("/api/v1/session")).status(), 200);
  await page.unroute("**/api/v1/sessions/*");
  await page.locator("#logins").getByRole("button", { name: "Завершити" }).first().click();
  await page.waitForFunction((n) => document.querySelectorAll("#logins li").length === n, before - 1);
  assert.equal(await page.getByRole("alert").count(), 0);
  await other.context().close();
  assert.deepEqual(page.complaints.filter((text) => !text.includes("ERR_FAILED")), []);
});

test("a coverage that could not be asked for is unknown, not the former period's, and a retry mends it", async () => {
  page = await open(browser, shop.url);
  await page.locator("#coverage", { hasText: "Пов'язано замовлень" }).waitFor();
  await page.route("**/api/utm/coverage**", (route) => route.abort());
  await page.route("**/api/utm/freshness**", (route) => route.abort());
  await page.getByRole("button", { name: "Тиждень" }).click();
  await settled(page);
  const said = page.locator(".head").getByRole("alert").filter({ hasText: "невідомо" });
  await said.waitFor();
  assert.match(await said.innerText(), /не відповідає/);
  assert.equal(await page.locator("#coverage").count(), 0, "no share of a month beside the figures of a week");
  await page.unroute("**/api/utm/coverage**");
  await said.getByRole("button", { name: "Спробувати ще" }).click();
  await page.locator("#coverage").waitFor();
  const { orders } = await ask(page, "/api/utm/coverage", { period: "week" });
  assert.ok(same(await page.locator("#coverage").innerText(), orders.linked_percent));
  // Nor is it left out how old the data is.
  await page.reload();
  await settled(page);
  await page.locator(".head").getByRole("alert").filter({ hasText: "остання сесія" }).getByRole("button", { name: "Спробувати ще" }).waitFor();
});

test("one panel's failure is its own: it says so, the others show their figures, and a retry mends it", async () => {
  page = await open(browser, shop.url, "/", { user: null });
  let broken = true;
  await page.route("**/api/utm/funnel**", (route) => (broken ? route.fulfill({ status: 500, contentType: "application/json", body: '{"error":{"code":"internal","message":"something broke"}}' }) : route.continue()));
  await page.route("**/api/utm/ltv-comparison**", (route) => (broken ? route.abort() : route.continue()));
  await logIn(page, ADMIN);
  await settled(page);
  const said = await page.locator("#funnel").getByRole("alert").innerText();
  assert.match(said, /Помилка на сервері/);
  assert.doesNotMatch(said, /something broke/, "in the reader's language");
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
