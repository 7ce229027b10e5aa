// Every figure on the dispatcher page is what the API says.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { ask, install, launch, open, read, same, settled, SITE } from "./panel.mjs";

let shop, browser, page;
before(async () => {
  shop = await install();
  // One creative sells to everybody, so that there is a winner.
  await shop.sql("update sessions set purchase_at = first_seen where utm_campaign = 'brand_always_on' and utm_content = 'video_ad_1'");
  shop.command("rollup", "rebuild", "--site", SITE);
  browser = await launch();
  page = await open(browser, shop.url, "/?period=month&view.compare=1&ab.campaign=brand_always_on&ab.period=all_time&roi.spend=12345,5");
});
after(async () => {
  await browser?.close();
  await shop?.remove();
});

const MONTH = { period: "month" };
const text = (selector) => page.locator(selector).first().innerText();
const agree = async (selector, value, what) => {
  const shown = await text(selector);
  assert.ok(same(shown, value), `${what}: the page shows ${shown}, the API says ${value}`);
};

test("the key figures are those of compare, with their change and the value before", async () => {
  const { current, previous, change } = await ask(page, "/api/utm/compare", MONTH);
  const shown = await page.locator("#figures [data-figure]").evaluateAll((cards) => cards.map((card) => card.dataset.figure));
  assert.deepEqual(shown.sort(), Object.keys(current).sort());
  for (const [name, value] of Object.entries(current)) {
    const card = `#figures [data-figure=${name}]`;
    const exact = await page.locator(`${card} .value`).getAttribute("title");
    if (name === "avg_session_duration") {
      const [minutes, seconds] = exact.match(/\d+/g).map(Number);
      assert.equal(minutes * 60 + seconds, Math.round(value), exact);
    } else {
      assert.ok(same(exact, value), `${name}: ${exact} is not ${value}`);
      await agree(`${card} .before`, previous[name], `${name} before`);
    }
    const shownChange = await text(`${card} .change`);
    assert.ok(same(shownChange.replace("+", ""), change[name].percent), `${name}: ${shownChange} is not ${change[name].percent}`);
  }
});

test("the lines over time hold every point of the series and of the period before", async () => {
  const { series } = await ask(page, "/api/utm/time-series", MONTH);
  const { previous_period: before } = await ask(page, "/api/utm/compare", MONTH);
  const earlier = await ask(page, "/api/utm/time-series", { start_date: before.start_date, end_date: before.end_date });
  assert.equal(series.length, 30);
  for (const key of ["sessions", "conversions", "revenue"]) {
    const rows = await page.locator(`#over-time [data-series=${key}] tbody tr`).evaluateAll((all) => all.map((row) => [...row.querySelectorAll("td")].map((cell) => cell.textContent)));
    assert.equal(rows.length, series.length);
    rows.forEach(([now, then], index) => {
      assert.ok(same(now, series[index][key]), `${key} of ${series[index].day}: ${now}`);
      assert.ok(same(then, earlier.series[index][key]), `${key} before ${series[index].day}: ${then}`);
    });
  }
});

test("the funnel shows each stage with its rate", async () => {
  const { stages } = await ask(page, "/api/utm/funnel", MONTH);
  assert.equal(await page.locator("#funnel [data-stage]").count(), stages.length);
  for (const stage of stages) {
    await agree(`#funnel [data-stage=${stage.key}] .count`, stage.sessions, stage.key);
    await agree(`#funnel [data-stage=${stage.key}] .rate`, stage.rate, `${stage.key} rate`);
  }
});

test("the chart of sources shows the ten largest", async () => {
  const { sources } = await ask(page, "/api/utm/sources", { ...MONTH, limit: 10, sort: "-sessions" });
  for (const row of sources) {
    const bar = `#sources-chart [data-source="${row.utm_source ?? ""}"]`;
    await agree(`${bar} b`, row.sessions, `${row.utm_source} sessions`);
    await agree(`${bar} .money`, row.revenue, `${row.utm_source} revenue`);
  }
});

const LISTS = { sources: 20, campaigns: 20, content: 10, channels: 10, mediums: 10, terms: 10, devices: 10, browsers: 10, "operating-systems": 10, "landing-pages": 10, referrers: 10 };
for (const [list, limit] of Object.entries(LISTS)) {
  test(`every figure of the table "${list}" is the list's`, async () => {
    const answer = await ask(page, `/api/utm/${list}`, { ...MONTH, limit, sort: "-sessions" });
    const rows = Object.values(answer).find(Array.isArray);
    assert.ok(rows.length > 0);
    const shown = await cells(`#${list} tbody tr`);
    assert.equal(shown.length, rows.length);
    let compared = 0;
    shown.forEach((row, index) => {
      for (const [key, value] of Object.entries(row)) {
        if (!(key in answer.totals)) continue;
        assert.ok(same(value, rows[index][key]), `${list}, row ${index}, ${key}: ${value} is not ${rows[index][key]}`);
        compared += 1;
      }
    });
    assert.ok(compared >= rows.length * 3);
    for (const row of await cells(`#${list} tfoot tr`)) for (const [key, value] of Object.entries(row)) if (value) assert.ok(same(value, answer.totals[key]), `${list}, total of ${key}: ${value}`);
  });
}

/** Rows of a table as texts by column. */
const cells = (selector) => page.locator(selector).evaluateAll((rows) => rows.map((row) => Object.fromEntries([...row.querySelectorAll("[data-column]")].map((cell) => [cell.dataset.column, cell.innerText]))));

for (const [kind, button] of [["countries", "Країни"], ["cities", "Міста"]]) {
  test(`the table of ${kind} is that of geo`, async () => {
    await page.locator("#geo").getByRole("button", { name: button }).click();
    await settled(page);
    await page.locator("#geo .place").scrollIntoViewIfNeeded();
    await page.locator("#geo svg path.has").first().waitFor();
    const answer = await ask(page, "/api/utm/geo", { ...MONTH, limit: 300, sort: "-sessions" });
    const shown = await cells("#geo tbody tr");
    assert.equal(shown.length, Math.min(10, answer[kind].length));
    shown.forEach((row, index) => {
      for (const key of ["sessions", "conversions", "conversion_rate", "revenue"]) assert.ok(same(row[key], answer[kind][index][key]), `${kind} ${index} ${key}: ${row[key]}`);
    });
    const painted = await page.locator("#geo svg path.has").count();
    assert.equal(painted, answer.countries.filter((row) => row.country !== null).length);
  });
}

test("repeat purchases are five cards of repeat-rate", async () => {
  const answer = await ask(page, "/api/utm/repeat-rate", MONTH);
  assert.equal(await page.locator("#repeat [data-figure]").count(), 5);
  for (const key of ["repeat_rate", "repeat_customers", "avg_orders_per_customer", "avg_time_between_orders", "one_time_customers"]) await agree(`#repeat [data-figure=${key}] strong`, answer[key], key);
});

test("new and returning visitors are those of returning-visitors", async () => {
  const answer = await ask(page, "/api/utm/returning-visitors", MONTH);
  for (const key of ["first_percent", "returning_percent"]) await agree(`#returning [data-figure=${key}]`, answer[key], key);
  const shown = await cells("#returning tbody tr");
  Object.keys(answer.first).forEach((key, index) => {
    assert.ok(same(shown[index].first, answer.first[key]), `first ${key}: ${shown[index].first}`);
    assert.ok(same(shown[index].returning, answer.returning[key]), `returning ${key}: ${shown[index].returning}`);
  });
});

test("registrations are the query's, by source", async () => {
  const answer = await ask(page, "/api/utm/query", { ...MONTH, metrics: "registrations,sessions", dimensions: "utm_source", sort: "-registrations", limit: 5 });
  await agree("#registrations [data-figure=registrations]", answer.totals.registrations, "registrations");
  const shown = await cells("#registrations tbody tr");
  assert.equal(shown.length, answer.rows.length);
  shown.forEach((row, index) => {
    const { registrations, sessions } = answer.rows[index];
    assert.ok(same(row.registrations, registrations) && same(row.sessions, sessions) && same(row.rate, (100 * registrations) / sessions), JSON.stringify(row));
  });
});

test("first and last touch stand side by side as first-and-last-touch gives them, by what is chosen, sorted by any", async () => {
  const agreed = async (query) => {
    await settled(page);
    const { first_and_last_touch: rows, purchases_begun_earlier: begun } = await ask(page, "/api/utm/first-and-last-touch", { ...MONTH, limit: 10, ...query });
    const shown = await cells("#touches tbody tr");
    assert.equal(shown.length, rows.length);
    shown.forEach(({ value, ...figures }, index) => {
      assert.equal(Object.keys(figures).length, 4);
      for (const [key, figure] of Object.entries(figures)) assert.ok(same(figure, rows[index][key]), `${key} of ${value}: ${figure} is not ${rows[index][key]}`);
    });
    await agree("#touches .content p", begun, "purchases begun earlier");
    return { rows, values: shown.map(({ value }) => value) };
  };
  await page.locator("#touches").scrollIntoViewIfNeeded();
  await page.locator("#touches tbody").waitFor();
  const { rows } = await agreed({});
  assert.ok(rows.some((row) => row.first_touch_purchases !== row.last_touch_purchases), "there is a difference to be seen");
  await page.locator("#touches").getByRole("button", { name: "Джерело", exact: true }).click();
  const sources = await agreed({ dimension: "utm_source" });
  assert.deepEqual(sources.values, sources.rows.map(({ value }) => value ?? sources.values.find((name) => name.startsWith("("))));
  await page.locator("#touches thead").getByRole("button", { name: "Дохід, перший дотик" }).click();
  await agreed({ dimension: "utm_source", sort: "-first_touch_revenue" });
});

test("LTV by source is the five best of ltv-comparison, coloured by the site's thresholds", async () => {
  const { ltv_comparison: rows } = await ask(page, "/api/utm/ltv-comparison", { ...MONTH, limit: 5 });
  const shown = await cells("#ltv tbody tr");
  assert.equal(shown.length, rows.length);
  shown.forEach((row, index) => {
    for (const key of Object.keys(row).filter((key) => key !== "utm_source")) assert.ok(same(row[key], rows[index][key]), `${key}: ${row[key]} is not ${rows[index][key]}`);
  });
  const tones = await page.locator("#ltv tbody .badge").evaluateAll((all) => all.map((one) => ["good", "fair", "poor"].find((tone) => one.classList.contains(tone))));
  assert.deepEqual(tones, rows.map((row) => row.level).filter(Boolean));
  rows.forEach((row) => assert.equal(row.level, row.ltv_per_session >= 500 ? "good" : row.ltv_per_session >= 200 ? "fair" : "poor"));
});

for (const [metric, type] of [["retention", "week"], ["ltv", "week"], ["orders", "month"], ["revenue", "day"]]) {
  test(`the heatmap by ${type} shows ${metric} as cohort-analysis gives it`, async () => {
    const asked = page.waitForResponse((response) => response.url().includes("/cohort-analysis") && response.url().includes(`metric=${metric}`) && response.url().includes(`cohort_type=${type}`));
    // The first pair is the page's own choice; any other first goes elsewhere, so that something is asked.
    if (metric === "retention") await page.locator("#cohorts").getByRole("button", { name: "Оновити" }).click();
    await page.selectOption("#cohort-metric", metric);
    await page.selectOption("#cohort-type", type);
    const answer = await (await asked).json();
    await settled(page);
    assert.deepEqual([answer.metric, answer.cohort_type], [metric, type]);
    const rows = await page.locator("#cohorts tbody tr").evaluateAll((all) => all.map((row) => [...row.querySelectorAll(".cell")].map((cell) => cell.innerText)));
    assert.equal(rows.length, answer.cohorts.length);
    rows.forEach((row, r) => row.forEach((shown, c) => assert.ok(same(shown, answer.matrix[r][c] ?? null), `${metric} ${r}/${c}: ${shown} is not ${answer.matrix[r][c]}`)));
    for (const key of ["size", "converted", "orders", "revenue"]) await agree(`#cohorts .totals [data-figure=${key}]`, answer.totals.reduce((sum, one) => sum + one[key], 0), `total ${key}`);
  });
}

test("the A/B panel names the winner and colours confidence by threshold", async () => {
  const answer = await ask(page, "/api/utm/ab-test", { period: "all_time", campaign: "brand_always_on" });
  assert.equal(answer.winner, "video_ad_1");
  assert.equal(await page.locator("#ab-test [data-winner]").getAttribute("data-winner"), "video_ad_1");
  assert.match(await text("#ab-test [data-winner]"), /Переможець: video_ad_1/);
  assert.match(await text("#ab-test [data-winner] p"), /на \d+,\d %/);
  assert.doesNotMatch(await text("#ab-test"), /\d\.\d|\p{Extended_Pictographic}/u);
  const marked = page.locator("#ab-test tbody tr").filter({ has: page.locator("svg") });
  assert.deepEqual([await marked.count(), (await marked.locator("th").innerText()).replace("\n", "")], [1, "video_ad_1, переможець"]);
  assert.ok(same((await text("#ab-test [data-winner] span")).replace("+", ""), answer.winner_lift));
  const shown = await cells("#ab-test tbody tr");
  shown.forEach((row, index) => {
    for (const key of ["sessions", "conversions", "conversion_rate", "revenue", "avg_order_value", "revenue_per_session", "confidence", "sessions_needed"]) assert.ok(same(row[key], answer.variants[index][key]), `${key}: ${row[key]}`);
  });
  const tones = await page.locator("#ab-test tbody .badge").evaluateAll((all) => all.map((one) => ["good", "fair", "poor"].find((tone) => one.classList.contains(tone))));
  assert.deepEqual(tones, answer.variants.map(({ confidence }) => (confidence >= 95 ? "good" : confidence >= 80 ? "fair" : "poor")));
  assert.ok(tones.includes("good"));
});

test("ROI recalculates as one types", async () => {
  const check = async (spend) => {
    const answer = await ask(page, "/api/utm/roi", { ...MONTH, ad_spend: spend });
    for (const key of ["roi", "profit", "roas", "revenue", "cpa", "cost_per_session", "break_even_purchases", "break_even_cpa"]) await agree(`#roi [data-figure=${key}] strong`, answer[key], `${key} at ${spend}`);
  };
  await check("12345.5");
  const answered = page.waitForResponse((response) => response.url().includes("ad_spend=99000"));
  await page.locator("#roi-spend").pressSequentially("0", { delay: 1 });
  await page.fill("#roi-spend", "99 000");
  await answered;
  await settled(page);
  await check("99000");
  await page.fill("#roi-spend", "10,000");
  assert.match(await text("#roi-wrong"), /10000 або 10\./, "ten thousand is not taken for ten");
  assert.doesNotMatch(page.url(), /roi\.spend/);
  await page.fill("#roi-spend", "багато");
  assert.match(await text("#roi-wrong"), /число/);
  assert.equal(await page.locator("#roi-spend").getAttribute("aria-invalid"), "true");
});

test("recent sessions are the API's thirty, and their dialog tells the whole path", async () => {
  const { sessions } = await ask(page, "/api/utm/sessions", { ...MONTH, limit: 30 });
  const shown = await cells("#sessions tbody tr");
  assert.equal(shown.length, 30);
  shown.forEach((row, index) => {
    assert.ok(same(row.visits, sessions[index].visit_count) && same(row.points, sessions[index].points) && same(row.page_views, sessions[index].page_views), JSON.stringify(row));
    assert.ok(same(row.revenue, sessions[index].orders === 0 ? null : sessions[index].revenue), row.revenue);
  });
  const index = sessions.findIndex((session) => session.orders > 0);
  await page.locator("#sessions tbody tr").nth(index).click();
  const dialog = page.getByRole("dialog");
  await dialog.locator("[data-action]").first().waitFor();
  const detail = await ask(page, `/api/utm/${sessions[index].id}/session-detail`);
  assert.deepEqual(await dialog.locator("[data-action]").evaluateAll((all) => all.map((one) => one.dataset.action)), detail.actions.map((action) => action.action_type));
  assert.ok(same(await dialog.locator("[data-figure=revenue]").innerText(), detail.session.revenue));
  assert.equal(await dialog.locator(".orders li").count(), detail.orders.length);
  assert.equal(await dialog.locator(".visit").count(), detail.visits.length);
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.ok(!page.url().includes("session.id"));
});

test("coverage and freshness are on the page's head", async () => {
  const { orders, by_link: links } = await ask(page, "/api/utm/coverage", MONTH);
  await agree("#coverage", orders.linked_percent, "coverage");
  await page.click("#coverage");
  const shown = await page.locator("#coverage-sheet li strong").allInnerTexts();
  assert.deepEqual(shown.map(read), links.map((link) => link.orders));
  await page.keyboard.press("Escape");
  assert.match(await text("#freshness"), /Остання сесія/);
});

test("the browser had nothing to complain about", () => assert.deepEqual(page.complaints, []));
