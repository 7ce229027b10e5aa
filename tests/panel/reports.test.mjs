// Reports by e-mail in the panel: a schedule is made, looked at, tried, changed and removed; mails go to a folder.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { pathToFileURL } from "node:url";

import { apiKey } from "../stack/centre.mjs";
import { ADMIN, ask, install, launch, open, picture, settled, SITE, VIEWER } from "./panel.mjs";

let shop, browser, page;
before(async () => {
  shop = await install({ sessions: 2_000, settings: (folder) => ({ UD_MAIL_TRANSPORT: "file", UD_MAIL_DIR: join(folder, "mail"), UD_MAIL_FROM: "Reports <reports@shop.example>" }) });
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

const schedules = async () => (await ask(page, "/api/v1/report-schedules")).schedules;

test("a schedule is made, shows its next report, sends a test to whoever asks, is changed and removed", async () => {
  page = await open(browser, shop.url, "/reports");
  await page.getByRole("button", { name: "Додати розклад" }).click();
  const form = page.getByRole("dialog");
  await form.getByLabel("Кому").fill("owner@shop.example\nnot an address");
  await form.getByRole("button", { name: "Зберегти" }).click();
  assert.match(await form.getByRole("alert").innerText(), /address|адрес/i);
  await form.getByLabel("Кому").fill("owner@shop.example, marketing@shop.example");
  await form.getByLabel("День тижня").selectOption("3");
  await form.getByLabel("Година").selectOption("8");
  await form.getByLabel("Назва").fill("Щосереди <команді>");
  await form.getByRole("button", { name: "Додати умову" }).click();
  await form.getByLabel("Значення").fill("facebook");
  await form.getByLabel("Додати CSV").check();
  await form.getByRole("button", { name: "Зберегти" }).click();
  await page.waitForSelector("#schedules h3");

  const [made, ...others] = await schedules();
  assert.equal(others.length, 0);
  assert.deepEqual(
    [made.name, made.frequency, made.weekday, made.hour, made.recipients, made.attach_csv, made.filters],
    ["Щосереди <команді>", "weekly", 3, 8, ["marketing@shop.example", "owner@shop.example"], true, { utm_source: ["facebook"] }],
  );
  const shown = await page.locator("#schedules li").innerText();
  for (const part of ["Щосереди <команді>", "середа", "08:00", "2 адреси", "Джерело: facebook"]) assert.ok(shown.includes(part), `${part} in ${shown}`);

  await page.getByRole("button", { name: "Показати", exact: true }).click();
  const report = page.frameLocator("iframe");
  await report.locator("table").first().waitFor();
  assert.match(await report.locator("body").innerText(), /Фільтри: Джерело: facebook[^]*Сесії/);
  await picture(page, "reports-preview");
  await page.keyboard.press("Escape");

  await page.getByRole("button", { name: "Надіслати мені" }).click();
  await page.locator("#report-runs .badge.good").waitFor({ timeout: 30_000 });
  const runs = await page.locator("#report-runs").innerText();
  assert.ok(runs.includes(ADMIN.email) && runs.includes("прийнято") && runs.includes("проба"), runs);
  const [mail, ...more] = readdirSync(join(shop.folder, "mail")).filter((name) => name.endsWith(".eml"));
  assert.equal(more.length, 0);
  assert.match(readFileSync(join(shop.folder, "mail", mail), "utf8"), new RegExp(`^To: .*${ADMIN.email}`, "m"));
  await picture(page, "reports");

  await page.getByRole("button", { name: "Змінити" }).click();
  await page.getByRole("dialog").getByLabel("Частота").selectOption("monthly");
  await page.getByRole("dialog").getByLabel("День місяця").fill("31");
  await page.getByRole("dialog").getByLabel("Надсилати").uncheck();
  await page.getByRole("dialog").getByRole("button", { name: "Зберегти" }).click();
  await page.locator("#schedules h3 .badge", { hasText: "вимкнено" }).waitFor();
  const [changed] = await schedules();
  assert.deepEqual([changed.frequency, changed.month_day, changed.enabled, changed.next_at], ["monthly", 31, false, null]);

  await page.getByRole("button", { name: "Вилучити" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Вилучити" }).click();
  await page.locator("#schedules .empty").waitFor();
  assert.deepEqual(await schedules(), []);
  // The browser reports the refused address by itself; nothing else may stand there.
  assert.deepEqual(page.complaints.filter((text) => !text.includes("400")), []);
});

test("a schedule's conditions are chosen and shown by name, kept by key, and an unknown one is refused before anything is sent", async () => {
  page = await open(browser, shop.url, "/reports");
  await page.getByRole("button", { name: "Додати розклад" }).click();
  const form = page.getByRole("dialog");
  const add = async (dimension, value) => {
    await form.getByRole("button", { name: "Додати умову" }).click();
    await form.getByLabel("Ознака").last().selectOption(dimension);
    await form.getByLabel("Значення").last().fill(value);
  };
  await form.getByLabel("Назва").fill("За умовами");
  await add("country", "Ukraine");
  await add("device_type", "!Телефон");
  await add("channel", "Radio");
  assert.equal(await form.getByLabel("Ознака").last().locator("option[value=day]").count(), 0, "time is the schedule's");
  await form.getByRole("button", { name: "Зберегти" }).click();
  assert.equal(await form.getByRole("alert").innerText(), "Канал: такого значення немає. Оберіть із переліку.");
  assert.deepEqual(await schedules(), []);
  await form.getByLabel("Значення").last().fill("organic_search");
  await form.getByRole("button", { name: "Зберегти" }).click();
  await page.waitForSelector("#schedules h3");
  const [{ filters }] = await schedules();
  assert.deepEqual(filters, { country: ["UA"], device_type: ["!mobile"], channel: ["organic_search"] });
  const shown = await page.locator("#schedules li").innerText();
  for (const part of ["Країна: Україна", "Пристрій: ≠ Телефон"]) assert.ok(shown.includes(part), `${part} in ${shown}`);
  await page.getByRole("button", { name: "Змінити" }).click();
  const names = await form.getByLabel("Значення").evaluateAll((all) => all.map((one) => one.value));
  assert.ok(names.includes("Україна") && names.includes("!Телефон"), names.join());
  await form.getByRole("button", { name: "Зберегти" }).click();
  await form.waitFor({ state: "detached" });
  assert.deepEqual((await schedules())[0].filters, filters);
  await page.getByRole("button", { name: "Вилучити" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Вилучити" }).click();
  await page.locator("#schedules .empty").waitFor();
  assert.deepEqual(page.complaints, []);
});

test("a double click mails once, however fast the server answers", async () => {
  page = await open(browser, shop.url, "/reports");
  const plan = { name: "Двічі", frequency: "daily", hour: 8, recipients: ["owner@shop.example"] };
  const made = await page.request.post(`/api/v1/report-schedules?site=${SITE}`, { headers: { origin: shop.url }, data: plan });
  assert.equal(made.ok(), true, await made.text());
  const { id } = await made.json();
  await page.reload();
  await settled(page);
  let asked = 0;
  let slow = true;
  await page.route(`**/report-schedules/${id}/test`, async (route) => {
    asked += 1;
    if (slow) await new Promise((resolve) => setTimeout(resolve, 700));
    await route.fulfill({ status: 202, contentType: "application/json", body: "{}" });
  });
  const button = page.getByRole("button", { name: "Надіслати мені" });
  await button.dblclick();
  assert.equal(await button.isDisabled(), true, "nothing to press while it is under way");
  await page.getByRole("status").filter({ hasText: "Надсилається" }).waitFor();
  assert.equal(asked, 1);
  // Answered before the second click of the two.
  slow = false;
  await button.click();
  await page.waitForFunction(() => document.querySelector("#schedules button:disabled") === null);
  asked = 0;
  await button.dblclick({ delay: 60 });
  await page.waitForTimeout(500);
  assert.equal(asked, 1);
  await page.unroute(`**/report-schedules/${id}/test`);
  await page.request.delete(`/api/v1/report-schedules/${id}`, { headers: { origin: shop.url } });
  assert.deepEqual(page.complaints, []);
});

test("a viewer sees a report and no schedules, and a phone needs no sideways scroll", async () => {
  page = await open(browser, shop.url, "/reports", { user: VIEWER, width: 390, height: 800, language: "en" });
  assert.equal(await page.locator("#schedules").count(), 0);
  await page.getByRole("button", { name: "See a report" }).click();
  await page.frameLocator("iframe").locator("table").first().waitFor();
  await page.getByRole("button", { name: "Text alone" }).click();
  await page.frameLocator("iframe").locator("pre").waitFor();
  await page.keyboard.press("Escape");
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  await settled(page);
  assert.equal((await page.request.get(`/api/v1/report-schedules?site=${SITE}`)).status(), 403);
  assert.deepEqual(page.complaints.filter((text) => !text.includes("403")), []);
});

test("the mail of a large shop needs no sideways scroll, at its full width and on a phone", async () => {
  const key = apiKey(shop.env, SITE, "orders");
  const [{ session_id, visitor_id }] = await shop.sql("select session_id, visitor_id from sessions where bot_reason is null and utm_source is not null order by first_seen desc limit 1");
  const now = new Date().toISOString();
  const order = { order_id: "huge-1", session_id, visitor_id, total: "1234567890.12", currency: "UAH", payment_status: "paid", created_at: now, paid_at: now, updated_at: now };
  const sent = await fetch(`${shop.url}/api/v1/orders`, { method: "POST", headers: { authorization: `Bearer ${key}`, "content-type": "application/json" }, body: JSON.stringify(order) });
  assert.equal(sent.status, 200, await sent.text());
  for (const language of ["uk", "en"]) {
    const file = join(shop.folder, `mail-${language}.html`);
    shop.command("send-report", "--site", SITE, "--period", "week", "--lang", language, "--recipients", "owner@shop.example", "--out", file);
    assert.match(readFileSync(file, "utf8"), /1.2\d\d.\d{3}.\d{3}/, "the order is in it");
    for (const width of [600, 390]) {
      const mail = await browser.newPage({ viewport: { width, height: 900 } });
      await mail.goto(pathToFileURL(file).href);
      assert.equal(await mail.evaluate(() => document.documentElement.scrollWidth), width, language);
      await picture(mail, `mail-${language}-${width}`);
      await mail.close();
    }
  }
});

test("a report that cannot be shown says why in the reader's language, and is shown when it can be", async () => {
  page = await open(browser, shop.url, "/reports");
  await page.route("**/api/v1/report-preview?**", (route) => route.fulfill({ status: 503, contentType: "application/json", body: '{"error":{"code":"unavailable","message":"x"}}' }));
  await page.getByRole("button", { name: "Переглянути звіт" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("alert").getByText("База даних зараз не відповідає").waitFor();
  assert.equal(await page.locator("iframe").count(), 0, "no words for programs");
  await page.unroute("**/api/v1/report-preview?**");
  await dialog.getByRole("button", { name: "Спробувати ще" }).click();
  await page.frameLocator("iframe").locator("table").first().waitFor();
});

test("a filter that a schedule has twice keeps no schedule from being seen", async () => {
  page = await open(browser, shop.url, "/reports");
  const fields = { name: "Двічі", frequency: "daily", hour: 9, recipients: ["owner@shop.example"], format: "html", language: "uk", attach_csv: false, enabled: false, filters: { utm_source: ["google", "google"] } };
  const made = await page.request.post(`/api/v1/report-schedules?site=${SITE}`, { data: fields, headers: { origin: shop.url } });
  assert.equal(made.status(), 201);
  await page.reload();
  await page.locator("#schedules li", { hasText: "Двічі" }).waitFor();
  const again = page.locator("#schedules li", { hasText: "Двічі" });
  await again.getByRole("button", { name: "Змінити" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Зберегти" }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  assert.deepEqual((await schedules()).find(({ name }) => name === "Двічі").filters, { utm_source: ["google"] });
  assert.deepEqual(page.complaints, []);
});
