// A session that ends while somebody is at work: nothing that they typed is lost, and nobody else gets to see it.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { ADMIN, ask, downloaded, install, launch, logIn, open, settled, SITE, VIEWER } from "./panel.mjs";

let shop, browser, page;
before(async () => {
  shop = await install({ sessions: 200 });
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

const login = () => page.waitForSelector("input[name=password]");
const back = async () => {
  await page.waitForSelector("input[name=password]", { state: "detached" });
  await settled(page);
};
/** What a browser keeps of the page, whatever becomes of it. */
const stored = () => page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));

test("a form that was being saved is there after the login, and is saved then", async () => {
  page = await open(browser, shop.url, `/settings?site=${SITE}`);
  await page.getByLabel("Назва", { exact: true }).first().fill("Нова назва");
  await page.getByLabel("Домени магазину").first().fill("shop.example\nnew.example");
  await page.context().clearCookies();
  await page.getByRole("button", { name: "Зберегти" }).click();
  await login();
  // The form's own notice, for when one has logged in again, stands below it.
  await page.getByRole("dialog").getByRole("alert").filter({ hasText: "Сеанс завершено; увійдіть знову." }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Зберегти" }).count(), 0, "nothing of the page is in sight");
  assert.doesNotMatch(await stored(), /Нова назва|new\.example/);
  // Neither Escape leads past the login, which a browser may close for a moment.
  for (let i = 0; i < 3; i += 1) await page.keyboard.press("Escape");
  await login();
  await logIn(page, ADMIN);
  await back();
  assert.equal(await page.title(), "Налаштування · UTM Dispatcher");
  assert.equal(await page.getByLabel("Назва", { exact: true }).first().inputValue(), "Нова назва");
  assert.match(await page.getByRole("alert").innerText(), /цього не зроблено/);
  await page.getByRole("button", { name: "Зберегти" }).click();
  await page.getByRole("status").filter({ hasText: "Збережено" }).waitFor();
  const { name, domains } = (await ask(page, "/api/v1/sites")).find(({ key }) => key === SITE);
  assert.deepEqual([name, domains], ["Нова назва", ["shop.example", "new.example"]]);
  assert.doesNotMatch(await stored(), new RegExp(ADMIN.password));
});

test("so is a dialog's, whose lists are asked for again", async () => {
  page = await open(browser, shop.url, "/reports");
  await page.getByRole("button", { name: "Додати розклад" }).click();
  const form = page.getByRole("dialog", { name: "Новий розклад" });
  await form.getByLabel("Кому").fill("owner@shop.example");
  await form.getByLabel("Назва").fill("Щотижня");
  await page.context().clearCookies();
  await form.getByRole("button", { name: "Зберегти" }).click();
  await login();
  // Above the other dialog, which would keep it from being used.
  await logIn(page, ADMIN);
  await back();
  assert.equal(await form.getByLabel("Кому").inputValue(), "owner@shop.example");
  await form.getByRole("button", { name: "Зберегти" }).click();
  await page.locator("#schedules h3", { hasText: "Щотижня" }).waitFor();
});

test("figures that were asked for without a session come after the login, with the filters of before", async () => {
  page = await open(browser, shop.url, "/?period=all_time");
  await page.context().clearCookies();
  await page.locator("#sources tbody tr").first().click();
  await login();
  await logIn(page, ADMIN);
  await back();
  assert.match(page.url(), /period=all_time.*utm_source=/);
  const source = new URL(page.url()).searchParams.get("utm_source");
  const rows = (await ask(page, "/api/utm/campaigns", { period: "all_time", utm_source: source })).campaigns;
  await page.waitForFunction((n) => document.querySelectorAll("#campaigns tbody tr").length === n, Math.min(20, rows.length));
  assert.equal(await page.locator("main").getByRole("alert").count(), 0);
});

test("a file that is asked for without a session leads to the login, and is had after it", async () => {
  page = await open(browser, shop.url, "/");
  await page.context().clearCookies();
  const link = page.locator("#sources a[download]").first();
  await link.click();
  await login();
  await logIn(page, ADMIN);
  await back();
  assert.match((await downloaded(page, link)).suggestedFilename(), /\.csv$/);
});

test("whoever logs in next sees nothing of the page before", async () => {
  page = await open(browser, shop.url, `/settings/keys?site=${SITE}`);
  await page.locator("#api-keys").getByLabel("Назва").fill("Ключ адміністратора");
  await page.context().clearCookies();
  await page.locator("#api-keys").getByRole("button", { name: "Створити" }).click();
  await login();
  await logIn(page, VIEWER);
  await back();
  assert.doesNotMatch(await page.content(), /Ключ адміністратора/);
  await page.getByText("лише адміністратори").waitFor();
  assert.match(await page.locator("header").innerText(), new RegExp(VIEWER.email));
});

test("passwords that were typed are not kept with the form", async () => {
  page = await open(browser, shop.url, "/account");
  const current = page.getByLabel("Поточний пароль");
  await current.fill("the password of now");
  await page.getByLabel("Новий пароль", { exact: false }).nth(0).fill("the password to come");
  await page.getByLabel("Новий пароль ще раз").fill("the password to come");
  await page.context().clearCookies();
  await page.locator("form button").click();
  await page.waitForSelector("input[name=password]");
  assert.deepEqual(await page.locator("#main input[type=password]").evaluateAll((all) => all.map((field) => field.value)), ["", "", ""]);
  await logIn(page, ADMIN);
  await back();
});

test("who leaves, comes back or is replaced in one tab is so in the others", async () => {
  page = await open(browser, shop.url, `/settings?site=${SITE}`);
  await page.getByLabel("Назва", { exact: true }).first().fill("Ще не збережено");
  const other = await page.context().newPage();
  await other.goto("/account");
  await other.locator("main h1").waitFor();
  await other.getByRole("button", { name: "Вийти" }).click();
  await login();
  await logIn(other, ADMIN);
  await back();
  assert.equal(await page.getByLabel("Назва", { exact: true }).first().inputValue(), "Ще не збережено");
  await other.getByRole("button", { name: "Вийти" }).click();
  await login();
  await logIn(other, VIEWER);
  await back();
  await page.getByText("лише адміністратори").waitFor();
  assert.match(await page.locator("header").innerText(), new RegExp(VIEWER.email));
});
