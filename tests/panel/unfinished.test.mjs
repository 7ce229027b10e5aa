// What is not whole is told so: the day that is not over, and revenue without the orders that nobody knows the rate of.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { apiKey } from "../stack/centre.mjs";
import { ask, install, launch, open, read, settled, SITE } from "./panel.mjs";

let shop, browser, page;
before(async () => {
  shop = await install({ sessions: 1_000 });
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

/** What a chart says of its points to screen readers, and where its whole line ends. */
const chart = (place) =>
  page.locator(place).evaluate((one) => {
    const whole = one.querySelector("clipPath[id$=whole] rect");
    return {
      points: [...one.querySelectorAll("figure tbody th")].map((name) => name.textContent),
      wholeTo: whole ? Number(whole.getAttribute("x")) + Number(whole.getAttribute("width")) : null,
      width: one.querySelector("figure svg").clientWidth,
      dashed: one.querySelectorAll("figure path.part").length > 0,
      legend: one.querySelector("figure .legend")?.textContent ?? null,
    };
  });

for (const [bucket, words] of [["hour", "неповна година"], ["day", "неповний день"], ["week", "неповний тиждень"], ["month", "неповний місяць"]]) {
  test(`the ${bucket} that is not over is dashed, and said to be so in the legend, when it is read out and to screen readers`, async () => {
    const period = { hour: "week", month: "all_time" }[bucket] ?? "month";
    page = await open(browser, shop.url, `/?period=${period}&time.bucket=${bucket}`);
    const { points, wholeTo, width, dashed, legend } = await chart("#over-time [data-series=sessions]");
    assert.ok(points.at(-1).endsWith(`, ${words}`), points.at(-1));
    assert.equal(dashed, true);
    assert.ok(wholeTo < width - 10, `the whole line ends at ${wholeTo} of ${width}`);
    assert.match(legend, new RegExp(`^Пунктир: ${words}, дані до `));
    await page.locator("#over-time [data-series=sessions] figure > svg").first().focus();
    await page.keyboard.press("End");
    await page.locator("#over-time [data-series=sessions] .tip").filter({ hasText: words }).waitFor();
    if (bucket === "hour" || bucket === "day") assert.equal(points.filter((name) => name.includes(words)).length, 1, "every other one is over");
    assert.ok((await page.locator("#figures [data-figure=total_sessions] .shape path.part").count()) > 0, "so is the small one on the card");
    assert.deepEqual(page.complaints, []);
  });
}

test("the changes of a period that is not over are said to be against a whole one", async () => {
  page = await open(browser, shop.url, "/?period=today");
  assert.match(await page.locator("#figures .running").innerText(), /^Період ще триває: дані до .+, а порівняно з повним попереднім періодом\.$/);
  await page.goto("/?period=all_time");
  await settled(page);
  assert.equal(await page.locator("#figures .running").count(), 0, "nothing is compared");
});

test("of days that are over none is dashed, and days to come have no figure", async () => {
  page = await open(browser, shop.url, "/?period=week");
  const { period } = await ask(page, "/api/utm/compare", { period: "week" });
  const near = (days) => new Date(Date.parse(`${period.end_date}T00:00:00Z`) + days * 86_400_000).toISOString().slice(0, 10);
  await page.goto(`/?start_date=${near(-6)}&end_date=${near(-1)}`);
  await settled(page);
  assert.equal(await page.locator("#figures .running").count(), 0);
  const over = await chart("#over-time [data-series=sessions]");
  assert.equal(over.points.length, 6);
  assert.deepEqual([over.dashed, over.legend, over.points.filter((name) => name.includes("неповний"))], [false, null, []]);
  await page.goto(`/?start_date=${near(-2)}&end_date=${near(2)}&time.bucket=day`);
  await settled(page);
  const ahead = await chart("#over-time [data-series=sessions]");
  assert.deepEqual(ahead.points.map((name) => name.includes("неповний день")), [false, false, true, false, false]);
  const values = await page.locator("#over-time [data-series=sessions] figure tbody td").allInnerTexts();
  assert.deepEqual(values.slice(3).map(read), [null, null]);
});

test("the shop's own pages tell the day that is not over too", async () => {
  page = await open(browser, shop.url, "/analytics/dashboard?days=7");
  assert.match((await chart("#revenue-trend")).legend, /неповний день/);
  await page.goto("/analytics/revenue-streams?days=90");
  await settled(page);
  const streams = await chart("#stream-trend");
  assert.deepEqual(streams.points.map((name) => name.includes("неповний день")).indexOf(true), 89);
  await page.goto("/analytics/customers");
  await settled(page);
  const months = await chart("#retention_rate");
  assert.deepEqual(months.points.map((name) => name.includes("неповний місяць")).indexOf(true), 11);
});

test("purchases without an exchange rate are told beside the revenue, with what to do", async () => {
  page = await open(browser, shop.url);
  const told = page.locator("#figures [data-figure=unvalued]");
  const { orders: before } = await ask(page, "/api/utm/coverage");
  assert.equal(await told.count(), before.purchases_without_rate > 0 ? 1 : 0);
  const now = new Date(Date.now() - 60_000).toISOString();
  const order = { order_id: "no-rate-1", email: "far@shop.example", total: "100.00", currency: "PLN", payment_status: "paid", created_at: now, paid_at: now, updated_at: now };
  const sent = await fetch(`${shop.url}/api/v1/orders`, { method: "POST", headers: { authorization: `Bearer ${apiKey(shop.env, SITE, "orders")}`, "content-type": "application/json" }, body: JSON.stringify(order) });
  assert.equal(sent.status, 200, await sent.text());
  await page.reload();
  await told.waitFor();
  const { orders } = await ask(page, "/api/utm/coverage");
  assert.equal(orders.purchases_without_rate, before.purchases_without_rate + 1);
  assert.equal(read(await told.innerText()), orders.purchases_without_rate);
  assert.match(await told.innerText(), /курс/);
  assert.match(await told.innerText(), /Що робити/);
  assert.match(await told.getByRole("link", { name: "Курси валют" }).getAttribute("href"), /^\/settings\/rates\?site=/);
  await page.goto("/?utm_source=google");
  await told.filter({ hasText: "фільтри сторінки тут не діють" }).waitFor();
  assert.deepEqual(page.complaints, []);
});
