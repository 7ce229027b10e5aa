// The business pages: every figure is the API's, a campaign is made and counts an order that comes later, and a viewer changes nothing.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { apiKey } from "../stack/centre.mjs";
import { ADMIN, ask, install, launch, open, picture, same, settled, SITE, VIEWER } from "./panel.mjs";

const PAGES = ["dashboard", "revenue-streams", "customers", "campaigns"];

let shop, browser, page;
before(async () => {
  shop = await install({ sessions: 3_000 });
  browser = await launch();
  await until("the orders' days and customers are counted", async () => (await shop.sql("select 1 from daily_analytics_snapshots where purchases > 0")).length > 50);
});
after(async () => {
  await browser?.close();
  await shop?.remove();
});
afterEach(async () => {
  await page?.context().close();
  page = undefined;
});

async function until(what, holds, ms = 60_000) {
  for (const end = Date.now() + ms; Date.now() < end; await new Promise((done) => setTimeout(done, 250))) if (await holds()) return;
  throw new Error(`waited ${ms} ms in vain until ${what}`);
}

/** The figure of a card: its tooltip where the card has a short one. */
const card = async (panel, key) => {
  const value = page.locator(`#${panel} [data-figure=${key}] .value`);
  return (await value.getAttribute("title")) ?? value.innerText();
};

test("the overview shows the API's figures for each period", async () => {
  page = await open(browser, shop.url, "/analytics/dashboard");
  for (const [button, query] of [[null, { period: "month" }], ["7 днів", { period: "week" }], ["Весь час", { period: "all_time" }]]) {
    if (button) await page.getByRole("button", { name: button }).click();
    await settled(page);
    const { kpis, statuses, top_items: items, recent_orders: orders } = await ask(page, "/api/v1/analytics/dashboard", query);
    for (const key of ["revenue", "orders", "purchases", "avg_order_value", "unique_customers", "new_customers", "returning_customers", "discounts"]) {
      assert.ok(same(await card("business-figures", key), kpis[key]), `${key}: ${await card("business-figures", key)} for ${kpis[key]}`);
    }
    if (button === null) {
      assert.ok(kpis.orders > 0 && statuses.length > 0 && orders.length > 0, "the generated shop has orders");
      assert.equal(await page.locator("#statuses li").count(), statuses.length);
      assert.equal(await page.locator("#top-items tbody tr").count(), items.length);
      assert.equal(await page.locator("#recent-orders tbody tr").count(), orders.length);
    }
  }
  await picture(page, "business-dashboard");
  assert.deepEqual(page.complaints, []);
});

test("a filter on the overview counts the orders of one source, and the files carry it", async () => {
  page = await open(browser, shop.url, "/analytics/dashboard");
  const whole = await ask(page, "/api/v1/analytics/dashboard", { period: "month" });
  await page.getByRole("button", { name: "Фільтр" }).click();
  await page.getByLabel("Значення").fill("facebook");
  await page.getByRole("button", { name: "Показати" }).click();
  const chip = page.getByRole("button", { name: /Джерело: facebook/ });
  await chip.waitFor();
  await settled(page);
  const { kpis } = await ask(page, "/api/v1/analytics/dashboard", { period: "month", utm_source: "facebook" });
  assert.ok(kpis.orders > 0 && kpis.orders < whole.kpis.orders, `${kpis.orders} of ${whole.kpis.orders}`);
  for (const key of ["revenue", "orders", "unique_customers"]) assert.ok(same(await card("business-figures", key), kpis[key]), key);
  const links = await page.locator("#revenue-trend a[download]").evaluateAll((all) => all.map((one) => one.getAttribute("href")));
  assert.equal(links.length, 2);
  for (const link of links) assert.match(link, /utm_source=facebook/);
  await chip.click();
  await settled(page);
  assert.ok(same(await card("business-figures", "orders"), whole.kpis.orders));
  assert.deepEqual(page.complaints, []);
});

test("a channel, a country and a device are filtered by the names they are shown by, and what is none of them is refused in words", async () => {
  page = await open(browser, shop.url, "/analytics/dashboard");
  const sheet = page.locator("#business-filter-sheet");
  await page.getByRole("button", { name: "Фільтр" }).click();
  await sheet.getByLabel("За чим").selectOption("channel");
  const offered = await sheet.locator("datalist option").evaluateAll((all) => all.map((one) => one.value));
  const { dimensions } = await ask(page, "/api/utm/catalogue");
  const channel = dimensions.find(({ key }) => key === "channel").values.find(({ key }) => key === "organic_search");
  assert.ok(offered.includes(channel.label.uk), offered.join());
  const whole = await ask(page, "/api/v1/analytics/dashboard", { period: "month" });
  for (const [dimension, typed, key] of [["channel", channel.label.en, "organic_search"], ["country", "україна", "UA"], ["device_type", "Phone", "mobile"]]) {
    if (!(await sheet.isVisible())) await page.getByRole("button", { name: "Фільтр" }).click();
    await sheet.getByLabel("За чим").selectOption(dimension);
    await sheet.getByLabel("Значення").fill(typed);
    await sheet.getByRole("button", { name: "Показати" }).click();
    await page.waitForURL((url) => url.searchParams.get(dimension) === key);
    await settled(page);
    const { kpis } = await ask(page, "/api/v1/analytics/dashboard", { period: "month", [dimension]: key });
    assert.ok(kpis.orders > 0 && kpis.orders < whole.kpis.orders, `${kpis.orders} of ${whole.kpis.orders}`);
    assert.ok(same(await card("business-figures", "orders"), kpis.orders), dimension);
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: /^Прибрати фільтр/ }).click();
    await settled(page);
  }
  await page.getByRole("button", { name: "Фільтр" }).click();
  await sheet.getByLabel("За чим").selectOption("device_type");
  await sheet.getByLabel("Значення").fill("iPhone");
  await sheet.getByRole("button", { name: "Показати" }).click();
  assert.equal(await sheet.getByRole("alert").innerText(), "Пристрій: такого значення немає. Оберіть із переліку.");
  assert.doesNotMatch(page.url(), /device_type/);
  // What the shop names is free.
  await sheet.getByLabel("За чим").selectOption("utm_campaign");
  assert.equal(await sheet.getByRole("alert").count(), 0);
  assert.equal(await sheet.locator("datalist").count(), 0);
  await sheet.getByRole("button", { name: "Показати" }).click();
  await page.waitForURL(/utm_campaign=iPhone/);
  assert.deepEqual(page.complaints, []);
});

test("customers are filtered by what brought their first purchase: by a row, a chip, the address and the files", async () => {
  page = await open(browser, shop.url, "/analytics/customers");
  const whole = await ask(page, "/api/v1/analytics/customers", { period: "month" });
  const { utm_source: source, customers: n } = whole.sources.find((one) => one.utm_source);
  assert.equal(whole.sources.reduce((sum, one) => sum + one.customers, 0), whole.total_customers, "each customer came by one source or none");
  await page.locator("#customer-sources tbody tr", { hasText: source }).first().click();
  const chip = page.getByRole("button", { name: new RegExp(`Джерело: ${source}`, "i") });
  await chip.waitFor();
  await settled(page);
  assert.match(page.url(), new RegExp(`utm_source=${source}`));
  const part = await ask(page, "/api/v1/analytics/customers", { period: "month", utm_source: source });
  assert.equal(part.ltv_bands.reduce((sum, band) => sum + band.customers, 0), n);
  assert.ok(n > 0 && n < whole.sources.reduce((sum, one) => sum + one.customers, 0));
  assert.ok(same(await card("customer-figures", "total_customers"), part.total_customers));
  assert.ok(same(await card("customer-figures", "avg_lifetime_value"), part.avg_lifetime_value));
  assert.equal(await page.locator("#customer-sources tbody tr").count(), 1);
  assert.ok((await page.locator("main").innerText()).includes("показано все, що вони купили відтоді"), "the page says what the filter means");
  for (const link of await page.locator("#top-customers a[download]").evaluateAll((all) => all.map((one) => one.getAttribute("href")))) assert.match(link, new RegExp(`utm_source=${source}`));
  await picture(page, "business-customers-filtered");
  // The filter goes along to the other parts.
  await page.getByRole("link", { name: "Кампанії" }).click();
  await settled(page);
  assert.match(page.url(), new RegExp(`/analytics/campaigns\\?.*utm_source=${source}`));
  await page.getByRole("link", { name: "Огляд" }).click();
  await chip.waitFor();
  await settled(page);
  const { kpis } = await ask(page, "/api/v1/analytics/dashboard", { period: "month", utm_source: source });
  assert.ok(same(await card("business-figures", "orders"), kpis.orders));
  // Nobody fits: said so, and what to do.
  await page.goto("/analytics/customers?utm_source=nobody");
  await settled(page);
  assert.ok((await page.locator("#segments").innerText()).includes("Приберіть фільтр"));
  assert.deepEqual(page.complaints, []);
});

test("revenue streams and customers show what the API says", async () => {
  page = await open(browser, shop.url, "/analytics/revenue-streams?days=90");
  const { start_date, end_date } = Object.fromEntries(new URL([...page.answers.keys()].find((path) => path.startsWith("/api/v1/analytics/revenue-streams")), shop.url).searchParams);
  const streams = await ask(page, "/api/v1/analytics/revenue-streams", { start_date, end_date });
  assert.ok(streams.total_transactions > 0);
  assert.equal(await page.locator("#streams tbody tr").count(), streams.streams.length);
  assert.ok(same(await page.locator("#streams tfoot tr > :nth-child(2)").innerText(), streams.total_amount));
  await picture(page, "business-streams");
  await page.getByRole("link", { name: "Покупці" }).click();
  await settled(page);
  assert.match(page.url(), /customers\?days=90/, "the days stay");
  const customers = await ask(page, "/api/v1/analytics/customers", { start_date, end_date });
  assert.equal(customers.segments.reduce((sum, { customers: n }) => sum + n, 0), customers.total_customers, "segments divide the customers");
  assert.equal(await page.locator("#segments tbody tr").count(), 6);
  assert.ok(same(await card("customer-figures", "total_customers"), customers.total_customers));
  await picture(page, "business-customers");
  await page.locator("#top-customers tbody tr").first().click();
  await page.getByRole("dialog").locator("table").waitFor();
  assert.deepEqual(page.complaints, []);
});

test("a campaign is made, begins, counts an order that comes later, and is completed for good", async () => {
  page = await open(browser, shop.url, "/analytics/campaigns");
  await page.getByRole("button", { name: "Нова кампанія" }).click();
  const form = page.getByRole("dialog");
  await form.getByLabel("Назва").fill("Осінній <розпродаж>");
  await form.getByLabel("Розмір знижки").fill("120");
  await form.getByLabel("Промокоди").fill("AUTUMN26");
  await form.getByRole("button", { name: "Зберегти" }).click();
  assert.match(await form.getByRole("alert").innerText(), /100|percent/i, "what is wrong is said");
  await form.getByLabel("Розмір знижки").fill("15");
  await form.getByLabel("Бюджет").fill("500");
  await form.getByRole("button", { name: "Зберегти" }).click();
  await page.waitForURL(/\/analytics\/campaigns\/\d+/);
  await settled(page);
  await page.getByRole("button", { name: "Почати" }).click();
  await page.getByRole("button", { name: "Призупинити" }).waitFor();

  const key = apiKey(shop.env, SITE, "orders");
  const now = new Date().toISOString();
  const order = { order_id: "campaign-1", promo_code: "autumn26", email: "later@shop.example", total: "1000.00", discount: "150.00", currency: "UAH", payment_status: "paid", created_at: now, paid_at: now, updated_at: now };
  const sent = await fetch(`${shop.url}/api/v1/orders`, { method: "POST", headers: { authorization: `Bearer ${key}`, "content-type": "application/json" }, body: JSON.stringify(order) });
  assert.equal(sent.status, 200, await sent.text());
  const id = page.url().match(/campaigns\/(\d+)/)[1];
  await until("the order is counted", async () => (await ask(page, `/api/v1/analytics/campaigns/${id}`)).campaign.purchases === 1, 15_000);
  await page.reload();
  await settled(page);
  assert.ok(same(await card("campaign", "revenue"), 1_000));
  assert.ok(same(await card("campaign", "discount_cost"), 150));
  assert.ok(same(await card("campaign", "roi"), 54), "(1000 − 150 − 500) / 650");
  assert.equal(await page.locator("#campaign-orders tbody tr").count(), 1);
  assert.equal(await page.locator("#campaign-days tbody tr").count(), 1);
  await picture(page, "business-campaign");
  // The order has no source: with the filter it counts, with another it does not; its part of the budget is not known.
  await page.locator("#campaign-orders tbody tr").first().click();
  await page.getByRole("button", { name: /Джерело: \(не вказано\)/i }).waitFor();
  await settled(page);
  assert.ok(same(await card("campaign", "revenue"), 1_000));
  assert.equal(/\d/.test(await card("campaign", "roi")), false, "a budget is not divided among orders");
  await page.goto(`/analytics/campaigns/${id}?utm_source=facebook`);
  await settled(page);
  assert.ok(same(await card("campaign", "orders"), 0));
  await page.getByRole("button", { name: /Джерело: facebook/i }).click();
  await settled(page);
  assert.ok(same(await card("campaign", "orders"), 1));

  await page.getByRole("button", { name: "Завершити" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Завершити" }).click();
  await page.locator("#campaign .badge", { hasText: "Завершена" }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Змінити" }).count(), 0, "what is completed never changes again");
  await page.goto("/settings/log");
  await settled(page);
  const log = await page.locator("#audit-log").innerText();
  for (const words of ["Створено кампанію", "Змінено кампанію", ADMIN.email, "AUTUMN26".toLowerCase()]) assert.ok(log.includes(words), `${words} in the audit log: ${log.slice(0, 500)}`);
  assert.deepEqual(page.complaints.filter((text) => !text.includes("400")), []);
});

test("a campaign's budget is the amount that was typed, and what could be two amounts is not sent", async () => {
  page = await open(browser, shop.url, "/analytics/campaigns");
  await page.getByRole("button", { name: "Нова кампанія" }).click();
  const form = page.getByRole("dialog");
  await form.getByLabel("Назва").fill("Budget of ten thousand");
  await form.getByLabel("Розмір знижки").fill("12,5");
  await form.getByLabel("Бюджет").fill("10,000");
  await form.getByRole("button", { name: "Зберегти" }).click();
  assert.equal(await form.getByRole("alert").innerText(), "«10,000» можна прочитати двояко: напишіть 10000 або 10.");
  assert.equal(await form.getByLabel("Бюджет").getAttribute("aria-invalid"), "true");
  await form.getByLabel("Бюджет").fill("10 000,25");
  await form.getByRole("button", { name: "Зберегти" }).click();
  await page.waitForURL(/\/analytics\/campaigns\/\d+/);
  const [, id] = page.url().match(/campaigns\/(\d+)/);
  const { campaign } = await ask(page, `/api/v1/analytics/campaigns/${id}`);
  assert.deepEqual([campaign.budget, campaign.discount_value], [10000.25, 12.5]);
  assert.deepEqual(page.complaints, []);
});

/** A campaign that counts what demo visitors bring, begun so many days ago; answers its number. */
async function begun(name, days, values) {
  const start = new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 10);
  const headers = { origin: shop.url };
  const made = await page.request.post("/api/v1/analytics/campaigns", { headers, data: { site: SITE, name, discount_type: "none", start_day: start, ...values } });
  assert.equal(made.status(), 201, await made.text());
  const { id } = await made.json();
  const active = await page.request.patch(`/api/v1/analytics/campaigns/${id}?site=${SITE}`, { headers, data: { status: "active" } });
  assert.equal(active.status(), 200, await active.text());
  return id;
}

test("a campaign's page draws every day, its files hold all of that campaign's days and no other's, and another shop has no such page", async () => {
  page = await open(browser, shop.url, "/analytics/dashboard");
  const own = await begun("Always on", 77, { utm_campaigns: ["brand_always_on"] });
  await begun("Another", 60, { utm_campaigns: ["winter_sale"] });
  await until("its orders are counted", async () => (await ask(page, `/api/v1/analytics/campaigns/${own}`)).campaign.orders > 0, 30_000);
  // One with two orders, weeks apart.
  const sparse = await begun("Rare", 90, { promo_codes: ["RARELY"] });
  const key = apiKey(shop.env, SITE, "orders");
  for (const days of [60, 10]) {
    const at = new Date(Date.now() - days * 86_400_000).toISOString();
    const order = { order_id: `rare-${days}`, promo_code: "rarely", email: "rare@shop.example", total: "100.00", currency: "UAH", payment_status: "paid", created_at: at, paid_at: at, updated_at: at };
    const sent = await fetch(`${shop.url}/api/v1/orders`, { method: "POST", headers: { authorization: `Bearer ${key}`, "content-type": "application/json" }, body: JSON.stringify(order) });
    assert.equal(sent.status, 200, await sent.text());
  }
  await until("the two orders are counted", async () => (await ask(page, `/api/v1/analytics/campaigns/${sparse}`)).campaign.purchases === 2, 30_000);

  await page.goto(`/analytics/campaigns/${own}?days=7`);
  await settled(page);
  const { days } = await ask(page, `/api/v1/analytics/campaigns/${own}`);
  assert.ok(days.length > 31, `${days.length} days`);
  const [csv, ...others] = await page.locator("#campaign-days a[download]").evaluateAll((all) => all.map((one) => one.getAttribute("href")));
  assert.equal(others.length, 1);
  const lines = (await (await page.request.get(csv)).text()).trim().split(/\r?\n/).slice(1);
  assert.deepEqual(lines.map((line) => line.split(",").slice(0, 2)), days.map((one) => ["Always on", one.day]));

  await page.goto(`/analytics/campaigns/${sparse}`);
  await settled(page);
  const { campaign, days: some } = await ask(page, `/api/v1/analytics/campaigns/${sparse}`);
  assert.equal(some.length, 2);
  const values = await page.locator("#performance figure tbody td").allInnerTexts();
  const today = new Intl.DateTimeFormat("sv-SE", { timeZone: "Europe/Kyiv" }).format(new Date());
  assert.equal(values.length, 1 + Math.round((Date.parse(today) - Date.parse(campaign.start_day)) / 86_400_000), "every day since its first");
  assert.deepEqual(values.map((value, index) => [index, value]).filter(([, value]) => /1/.test(value)).map(([index]) => index), some.map(({ day }) => Math.round((Date.parse(day) - Date.parse(campaign.start_day)) / 86_400_000)));

  await page.getByLabel("Сайт").selectOption("second");
  await page.waitForURL((url) => url.searchParams.get("site") === "second");
  await settled(page);
  assert.equal(new URL(page.url()).pathname, "/analytics/campaigns", "that number is nobody's there, or another campaign's");
  assert.deepEqual(page.complaints, []);
});

test("the two pairs of files on the list of campaigns can be told apart, and neither holds a period that is not shown", async () => {
  page = await open(browser, shop.url, "/analytics/campaigns?days=7");
  const groups = await page.locator("#business-campaigns [role=group]:has(a[download])").evaluateAll((all) => all.map((group) => [group.innerText.replace(/\s+/g, " "), ...[...group.querySelectorAll("a")].map((link) => new URL(link.href).searchParams)].map((one) => (typeof one === "string" ? one : Object.fromEntries(one)))));
  assert.deepEqual(groups.map(([shown]) => shown), ["Кампанії: CSV XLSX", "День за днем: CSV XLSX"]);
  for (const [, csv] of groups) assert.equal(csv.period, "all_time");
  assert.deepEqual(page.complaints, []);
});

test("a selection that ends outside a dialog leaves it open with what was typed; a click beside it closes it", async () => {
  page = await open(browser, shop.url, "/analytics/campaigns");
  await page.getByRole("button", { name: "Нова кампанія" }).click();
  const dialog = page.getByRole("dialog");
  const field = dialog.getByLabel("Назва");
  await field.fill("Весняний розпродаж");
  const [{ x, y, width, height }, around] = [await field.boundingBox(), await dialog.boundingBox()];
  await page.mouse.move(x + width / 2, y + height / 2);
  await page.mouse.down();
  await page.mouse.move(around.x - 40, y + height / 2, { steps: 5 });
  await page.mouse.up();
  assert.equal(await field.inputValue(), "Весняний розпродаж");
  assert.equal(await dialog.evaluate((one) => one.open), true);
  // Nor does a press beside it that is let go inside.
  await page.mouse.move(around.x - 40, y);
  await page.mouse.down();
  await page.mouse.move(x + width / 2, y + height / 2, { steps: 5 });
  await page.mouse.up();
  assert.equal(await field.inputValue(), "Весняний розпродаж");
  await page.mouse.click(around.x - 40, y);
  await dialog.waitFor({ state: "detached" });
  assert.deepEqual(page.complaints, []);
});

test("a viewer sees the figures, no customer's number and no way to change a campaign; a phone needs no sideways scroll", async () => {
  page = await open(browser, shop.url, "/analytics/customers", { user: VIEWER, width: 390, height: 800, language: "en" });
  assert.equal((await page.locator("#top-customers").innerText()).includes("№"), false);
  for (const one of PAGES) {
    await page.goto(`/analytics/${one}`);
    await settled(page);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${one} at 390 px`);
    // Nor does what only screen readers see reach out: a table under a long name did.
    const wide = await page.locator("main .unseen").evaluateAll((all) => all.filter((one) => one.getBoundingClientRect().width > 2).map((one) => `${one.tagName} ${one.textContent.slice(0, 40)}`));
    assert.deepEqual(wide, [], one);
    const words = (await page.locator("main").innerText()).match(/[а-яіїєґ]{3,}/giu) ?? [];
    assert.deepEqual(words.filter((word) => !["Осінній", "розпродаж"].includes(word)), [], `${one} in English, but for what people named`);
  }
  assert.equal(await page.getByRole("button", { name: "New campaign" }).count(), 0);
  const refused = await page.request.post("/api/v1/analytics/campaigns", { data: { name: "x", discount_type: "none", start_day: "2026-01-01" }, headers: { origin: shop.url } });
  assert.equal(refused.status(), 403);
  assert.deepEqual(page.complaints.filter((text) => !text.includes("403")), []);
});
