// Two people at the same forms: who saves changes what they changed, and nothing of the other's.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { ADMIN, install, launch, open, SITE } from "./panel.mjs";

let shop, browser, page;
before(async () => {
  shop = await install({ sessions: 0 });
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

/** What the other one sends; answers what the server answers. */
async function other(method, path, data) {
  const answer = await page.request.fetch(path, { method, data, headers: { origin: shop.url } });
  assert.ok(answer.ok(), await answer.text());
  return answer.json();
}

test("who saves a schedule changes nothing that another changed meanwhile", async () => {
  page = await open(browser, shop.url, "/reports");
  await other("POST", `/api/v1/report-schedules?site=${SITE}`, { name: "Щотижня", frequency: "weekly", weekday: 2, hour: 8, recipients: [ADMIN.email], filters: { utm_source: ["google"] } });
  await page.reload();
  const row = page.locator("#schedules li, .schedules li").filter({ hasText: "Щотижня" });
  await row.getByRole("button", { name: "Змінити" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Назва").fill("Звіт понеділка");
  const schedules = async () => (await (await page.request.get(`/api/v1/report-schedules?site=${SITE}`)).json()).schedules;
  const [{ id }] = await schedules();
  await other("PATCH", `/api/v1/report-schedules/${id}`, { recipients: ["boss@shop.example"], frequency: "monthly", month_day: 5, hour: 17, filters: { utm_source: ["facebook"] } });
  await dialog.getByRole("button", { name: "Зберегти" }).click();
  await dialog.waitFor({ state: "detached" });
  const [{ name, recipients, frequency, month_day, hour, filters }] = await schedules();
  assert.deepEqual({ name, recipients, frequency, month_day, hour, filters }, { name: "Звіт понеділка", recipients: ["boss@shop.example"], frequency: "monthly", month_day: 5, hour: 17, filters: { utm_source: ["facebook"] } });
  // A day goes with how often.
  await page.locator(".schedules li").filter({ hasText: "Звіт понеділка" }).getByRole("button", { name: "Змінити" }).click();
  await dialog.getByLabel("Частота").selectOption("weekly");
  await dialog.getByLabel("День тижня").selectOption("4");
  await dialog.getByRole("button", { name: "Зберегти" }).click();
  await dialog.waitFor({ state: "detached" });
  const [weekly] = await schedules();
  assert.deepEqual([weekly.frequency, weekly.weekday, weekly.hour], ["weekly", 4, 17]);
  assert.deepEqual(page.complaints, []);
});

test("who saves a promotion changes nothing that another changed meanwhile", async () => {
  page = await open(browser, shop.url, "/analytics/campaigns");
  const { id } = await other("POST", "/api/v1/analytics/campaigns", { site: SITE, name: "Осінь", discount_type: "percent", discount_value: 10, start_day: "2026-10-01", budget: "500", utm_campaigns: ["autumn"], promo_codes: ["AUTUMN"] });
  await page.goto(`/analytics/campaigns/${id}`);
  await page.getByRole("button", { name: "Змінити" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Назва").fill("Осінній розпродаж");
  await other("PATCH", `/api/v1/analytics/campaigns/${id}?site=${SITE}`, { budget: "900", end_day: "2026-10-31", discount_type: "fixed", discount_value: "50", promo_codes: ["AUTUMN", "LATE"] });
  await dialog.getByRole("button", { name: "Зберегти" }).click();
  await dialog.waitFor({ state: "detached" });
  const now = async () => (await (await page.request.get(`/api/v1/analytics/campaigns/${id}?site=${SITE}`)).json()).campaign;
  const { name, budget, end_day, discount_type, discount_value, promo_codes } = await now();
  assert.deepEqual({ name, budget, end_day, discount_type, discount_value }, { name: "Осінній розпродаж", budget: 900, end_day: "2026-10-31", discount_type: "fixed", discount_value: 50 });
  assert.equal(promo_codes.length, 2);
  // A size goes with its kind.
  await page.reload();
  await page.getByRole("button", { name: "Змінити" }).click();
  await dialog.locator("[name=discount_type]").selectOption("percent");
  await dialog.getByRole("button", { name: "Зберегти" }).click();
  await dialog.waitFor({ state: "detached" });
  const percent = await now();
  assert.deepEqual([percent.discount_type, percent.discount_value, percent.budget], ["percent", 50, 900]);
  assert.deepEqual(page.complaints, []);
});
