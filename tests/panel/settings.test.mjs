// The settings in a browser: what is saved is what the API then says, secrets show once, and nobody but an admin gets in.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { apiKey } from "../stack/centre.mjs";
import { ADMIN, ask, install, launch, open, picture, settled, SITE, VIEWER } from "./panel.mjs";

const PAGES = ["", "/sources", "/worker", "/users", "/keys", "/spend", "/rates", "/dead-letters", "/privacy", "/log", "/check"];

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
  const complaints = page?.complaints ?? [];
  await page?.context().close();
  page = undefined;
  assert.deepEqual(complaints, [], "the console stays clean");
});

const at = async (path, options) => {
  page = await open(browser, shop.url, `/settings${path}?site=${SITE}`, options);
  return page;
};
const site = async () => (await ask(page, "/api/v1/sites")).find(({ key }) => key === SITE);
const saved = () => page.getByRole("status").filter({ hasText: "Збережено" }).waitFor();

test("every page of the settings opens, in both languages, and fits a phone", async () => {
  for (const language of ["uk", "en"]) {
    await at("", { language, width: 390, height: 844 });
    for (const path of PAGES) {
      await page.goto(`/settings${path}?site=${SITE}`);
      await settled(page);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, `${path} scrolls sideways`);
      if (path === "/keys") for (const list of ["#api-keys", "#ingest-keys"]) assert.match(await page.locator(list).innerText(), language === "uk" ? /ще немає.+(створіть)/is : /There (is|are) no keys? yet.+create/is, "nothing yet, and what to do");
      await picture(page, `settings${path.replace("/", "-")}-${language}-phone`);
    }
    if (language === "uk") await page.context().close();
  }
});

test("a site's fields are saved, what follows is said, and a bad one is named", async () => {
  await at("");
  await page.getByLabel("Назва", { exact: true }).first().fill("Крамниця");
  await page.getByLabel("Часовий пояс").fill("Europe/Warsaw");
  await page.getByRole("button", { name: "Зберегти" }).click();
  await saved();
  assert.match(await page.getByRole("status").first().innerText(), /опівночі нового поясу/);
  const { name, time_zone } = await site();
  assert.deepEqual([name, time_zone], ["Крамниця", "Europe/Warsaw"]);
  await page.getByLabel("Частка LTV на залучення").fill("0.5");
  await page.getByRole("button", { name: "Зберегти" }).click();
  await saved();
  assert.equal((await site()).settings.max_cpa_share, "0.5");
  await page.getByLabel("Частка LTV на залучення").fill("0,65");
  await page.getByLabel("LTV за сесію: добре від").fill("1 500,5");
  await page.getByLabel("LTV за сесію: прийнятно від").fill("200,25");
  await page.getByRole("button", { name: "Зберегти" }).click();
  await saved();
  const { max_cpa_share, ltv_thresholds } = (await site()).settings;
  assert.deepEqual([max_cpa_share, ...ltv_thresholds], ["0.65", "1500.5", "200.25"]);
  await page.getByLabel("LTV за сесію: добре від").fill("1,500");
  await page.getByRole("button", { name: "Зберегти" }).click();
  assert.equal(await page.getByRole("alert").innerText(), "«1,500» можна прочитати двояко: напишіть 1500 або 1.5.");
  assert.equal((await site()).settings.ltv_thresholds[0], "1500.5", "and nothing is saved");
  await page.getByLabel("LTV за сесію: добре від").fill("1500");
  await page.getByLabel("Часовий пояс").fill("Europe/Nowhere");
  await page.getByRole("button", { name: "Зберегти" }).click();
  await page.getByRole("alert").filter({ hasText: "Часовий пояс: назва на кшталт Europe/Kyiv." }).waitFor();
  assert.equal((await site()).time_zone, "Europe/Warsaw");
  page.complaints = page.complaints.filter((text) => !text.includes("400"));
});

test("an admin sees which orders wait for an exchange rate, enters it for their days, and their money is counted", async () => {
  const sent = (id, day) => ({ order_id: id, email: `${id}@shop.example`, total: "100.00", currency: "pln", payment_status: "paid", created_at: `${day}T10:00:00Z`, updated_at: `${day}T10:00:00Z` });
  const answer = await fetch(`${shop.url}/api/v1/orders`, {
    method: "POST",
    headers: { authorization: `Bearer ${apiKey(shop.env, SITE, "orders")}`, "content-type": "application/json" },
    body: JSON.stringify([sent("pln-1", "2026-03-02"), sent("pln-2", "2026-03-04")]),
  });
  assert.equal(answer.status, 200, await answer.text());
  await at("/rates");
  const waiting = page.locator("#rates-waiting li").filter({ hasText: "PLN" });
  assert.match(await waiting.innerText(), /2 замовлення · 2 бер\. 2026.+ – 4 бер\. 2026/);
  await waiting.getByRole("button", { name: "Внести курс" }).click();
  const rate = page.locator("[name=rate]");
  await rate.fill("багато");
  await rate.blur();
  await page.getByText("Курс: число більше за 0").waitFor();
  await rate.fill("10,5123");
  await page.locator("[name=currency]").fill("UAH");
  await page.getByRole("button", { name: "Зберегти" }).click();
  await page.getByText("Це валюта самого сайту").waitFor();
  await page.locator("[name=currency]").fill("PLN");
  await page.getByRole("button", { name: "Зберегти" }).click();
  await page.getByRole("status").filter({ hasText: "Нових чи змінених курсів: 3, замовлень перераховано: 2" }).waitFor();
  const stored = page.locator("#rates tbody tr").filter({ hasText: "PLN" });
  await stored.nth(2).waitFor();
  assert.deepEqual(
    (await stored.allInnerTexts()).map((row) => row.replace(/\s+/g, " ").trim()),
    ["4 бер. 2026 р. PLN 10,5123", "3 бер. 2026 р. PLN 10,5123", "2 бер. 2026 р. PLN 10,5123"],
  );
  await waiting.waitFor({ state: "detached" });
  const { waiting: left, rates } = await ask(page, "/api/v1/exchange-rates", { site: SITE, currency: "PLN" });
  assert.ok(left.every(({ currency }) => currency !== "PLN"));
  assert.deepEqual(rates.map(({ day, rate }) => [day, rate]), [["2026-03-04", "10.5123"], ["2026-03-03", "10.5123"], ["2026-03-02", "10.5123"]]);
  await picture(page, "settings-rates");

  // A rate that was wrong is taken away again, and its order waits once more.
  await page.locator("[name=currency]").fill("pln");
  await page.locator("[name=first]").fill("2026-03-02");
  await page.locator("[name=last]").fill("2026-03-04");
  const asked = page.waitForEvent("dialog").then(async (dialog) => {
    await dialog.accept();
    return dialog.message();
  });
  await page.getByRole("button", { name: "Вилучити за ці дні" }).click();
  assert.match(await asked, /курс PLN, 2 бер\. 2026.+ – 4 бер\. 2026/);
  await page.getByRole("status").filter({ hasText: "Вилучено курсів: 3, замовлень перераховано: 2" }).waitFor();
  await stored.first().waitFor({ state: "detached" });
  assert.match(await waiting.innerText(), /2 замовлення/);
});

test("a report of ad spend is answered in words, with what was stored and which rows were refused", async () => {
  await at("/spend");
  const today = new Date().toISOString().slice(0, 10);
  const report = ["date,source,medium,campaign,amount,currency", `${today},google,cpc,autumn,1200.50,UAH`, `${today},google,cpc,winter,300,UAH`, `${today},google,cpc,spring,-5,UAH`, `2026-13-45,google,cpc,spring,5,UAH`].join("\n");
  await page.getByLabel("Файл").setInputFiles({ name: "spend.csv", mimeType: "text/csv", buffer: Buffer.from(report) });
  await page.getByRole("button", { name: "Завантажити" }).click();
  const answer = page.getByRole("status").filter({ hasText: "Збережено." });
  await answer.waitFor();
  const said = await answer.innerText();
  assert.match(said, /Прочитано: 4 рядки/);
  assert.match(said, /1[\s\u00a0]500,50/);
  assert.match(said, /Нових: 2/);
  assert.match(said, /Відхилених рядків: 2/);
  assert.doesNotMatch(said, /[{}]/, "no JSON");
  const refused = await page.locator("#spend-refused tbody tr").allInnerTexts();
  assert.equal(refused.length, 2);
  assert.match(refused[0], /^4\s/);
  assert.match(refused[0], /amount/);
  await picture(page, "settings-spend-uploaded");
  await page.getByRole("button", { name: "Завантажити" }).click();
  await page.getByRole("status").filter({ hasText: "Без змін: 2" }).waitFor();
  await settled(page);
  assert.equal(await page.locator("#spend tbody tr", { hasText: "autumn" }).count(), 1, "the same file twice changes nothing");
});

test("stored ad spend of a source and some days is taken away after a question, and the rest stays", async () => {
  await at("/spend");
  const report = ["date,source,medium,campaign,amount,currency", "2026-04-01,wrong,cpc,a,1,UAH", "2026-04-02,wrong,cpc,a,1,UAH", "2026-04-03,wrong,cpc,a,1,UAH", "2026-04-02,right,cpc,a,1,UAH"].join("\n");
  await page.getByLabel("Файл").setInputFiles({ name: "spend.csv", mimeType: "text/csv", buffer: Buffer.from(report) });
  await page.getByRole("button", { name: "Завантажити" }).click();
  await page.getByRole("status").filter({ hasText: "Нових: 4" }).waitFor();
  const removal = page.locator("#spend-removal");
  await removal.locator("[name=first]").fill("2026-04-01");
  await removal.locator("[name=last]").fill("2026-04-02");
  await removal.locator("[name=source]").fill("wrong");
  const answer = (accepted) => page.waitForEvent("dialog").then(async (dialog) => {
    await (accepted ? dialog.accept() : dialog.dismiss());
    return dialog.message();
  });
  const left = async () => (await ask(page, "/api/v1/ad-spend", { start_date: "2026-04-01", end_date: "2026-04-30" })).rows.map(({ date, source }) => `${date} ${source}`);
  const refused = answer(false);
  await removal.getByRole("button", { name: "Вилучити" }).click();
  assert.match(await refused, /1 квіт\. 2026.+ – 2 квіт\. 2026.+, wrong\?/);
  assert.equal((await left()).length, 4, "the question was answered with no");
  const accepted = answer(true);
  await removal.getByRole("button", { name: "Вилучити" }).click();
  await accepted;
  await removal.getByRole("status").filter({ hasText: "Вилучено рядків: 2." }).waitFor();
  assert.deepEqual((await left()).toSorted(), ["2026-04-02 right", "2026-04-03 wrong"]);
});

test("a long list of ad spend has pages, and money of another currency is told apart from the site's", async () => {
  await at("/spend");
  const today = new Date().toISOString().slice(0, 10);
  const rows = Array.from({ length: 130 }, (_, index) => `${today},many,cpc,campaign ${1000 + index},${index % 2 ? "banner" : ""},10,${["USD", "CAD"][index % 2]}`);
  await page.getByLabel("Файл").setInputFiles({ name: "spend.csv", mimeType: "text/csv", buffer: Buffer.from(["date,source,medium,campaign,content,amount,currency", ...rows].join("\n")) });
  await page.getByRole("button", { name: "Завантажити" }).click();
  await page.getByRole("status").filter({ hasText: "Нових: 130" }).waitFor();
  await settled(page);
  const { total_rows } = await ask(page, "/api/v1/ad-spend", { start_date: new Date(Date.now() - 90 * 86_400_000).toISOString().slice(0, 10), end_date: today, limit: 1 });
  assert.match(await page.locator("#spend .pager").innerText(), new RegExp(`1–100 з ${total_rows}`));
  await page.locator("#spend").getByRole("button", { name: "Наступна сторінка" }).click();
  await settled(page);
  assert.equal(await page.locator("#spend tbody tr").count(), Math.min(100, total_rows - 100));
  const texts = (await page.locator("#spend tbody").innerText()) + (await page.getByRole("status").innerText());
  assert.match(texts, /USD/);
  assert.match(texts, /CAD/);
  assert.doesNotMatch(texts, /\$/, "a dozen currencies have this sign");
  assert.match(await page.locator("#spend tbody").innerText(), /banner/);
});

/** As another admin does, in another browser. */
const elsewhere = (data) => page.request.patch(`/api/v1/sites/${SITE}`, { data, headers: { origin: shop.url } });

test("who saves a form changes nothing that another admin changed meanwhile", async () => {
  await at("");
  assert.equal((await elsewhere({ time_zone: "Europe/Rome", settings: { look_back_days: 44 } })).status(), 200);
  await page.getByLabel("Назва", { exact: true }).first().fill("Лише назва");
  await page.getByRole("button", { name: "Зберегти" }).click();
  await saved();
  const { name, time_zone, settings } = await site();
  assert.deepEqual([name, time_zone, settings.look_back_days], ["Лише назва", "Europe/Rome", 44]);
  await page.goto(`/settings/worker?site=${SITE}`);
  await page.getByLabel("Візити машин").waitFor();
  assert.equal((await elsewhere({ settings: { worker: { ip: "none", session_life_hours: 24 }, keep_user_agents: false } })).status(), 200);
  await page.getByLabel("Візити машин").selectOption("drop");
  await page.getByRole("button", { name: "Зберегти" }).click();
  await saved();
  assert.deepEqual((await site()).settings.worker, { ip: "none", session_life_hours: 24, bots: "drop" });
  await page.goto(`/settings/sources?site=${SITE}`);
  await page.getByLabel("Псевдоніми джерел").waitFor();
  assert.equal((await elsewhere({ settings: { worker: {}, payment_hosts: ["pay.example"] } })).status(), 200);
  await page.getByLabel("Псевдоніми джерел").fill("vb = viber");
  await page.getByRole("button", { name: "Зберегти" }).click();
  await saved();
  const { source_aliases, payment_hosts } = (await site()).settings;
  assert.deepEqual([source_aliases, payment_hosts], [{ vb: "viber" }, ["pay.example"]]);
});

test("what the worker is to do is saved as it was chosen and can be given back", async () => {
  await at("/worker");
  await page.getByRole("combobox", { name: "Згода", exact: true }).selectOption("off");
  await page.getByLabel("IP-адреса").selectOption("none");
  await page.getByLabel("Виключені шляхи").fill("/admin\n*/feed");
  await page.getByRole("button", { name: "Зберегти" }).click();
  await saved();
  const { worker } = (await site()).settings;
  assert.deepEqual([worker.consent.mode, worker.ip, worker.excluded_paths], ["off", "none", ["/admin", "*/feed"]]);
  await page.reload();
  await settled(page);
  await page.getByRole("combobox", { name: "Згода", exact: true }).selectOption("");
  await page.getByLabel("IP-адреса").selectOption("");
  await page.getByLabel("Виключені шляхи").fill("");
  await page.getByRole("button", { name: "Зберегти" }).click();
  await saved();
  assert.deepEqual((await site()).settings.worker, {});
});

test("a user is invited by a link that works once, and disabled", async () => {
  await at("/users");
  await page.getByLabel("Електронна пошта").fill("new@shop.example");
  await page.getByRole("button", { name: "Запросити" }).click();
  const link = await page.locator("code").innerText();
  const row = page.locator("#users li", { hasText: "new@shop.example" });
  assert.match(await row.innerText(), /запрошено/);
  const other = await open(browser, shop.url, new URL(link).pathname + new URL(link).hash, { user: null });
  for (const field of await other.locator("input[type=password]").all()) await field.fill("a long enough one");
  await other.locator("form button").click();
  await other.getByText("Готово").waitFor();
  await other.context().close();
  await row.getByRole("button", { name: "Вимкнути" }).click();
  await row.getByText("вимкнено").waitFor();
});

test("a change of role that is refused leaves the role that the user has in sight", async () => {
  await at("/users");
  const role = page.locator("#users li", { hasText: ADMIN.email }).getByRole("combobox");
  await role.selectOption("viewer");
  await page.locator("#users").getByRole("alert").getByText("останній адміністратор").waitFor();
  assert.equal(await role.inputValue(), "admin");
  // The browser reports the refusal by itself.
  page.complaints = page.complaints.filter((text) => !text.includes("409"));
});

test("a key is shown once and listed without its secret", async () => {
  await at("/keys");
  await page.locator("#api-keys").getByLabel("Назва").fill("CRM");
  await page.locator("#api-keys").getByRole("button", { name: "Створити" }).click();
  const token = await page.locator("#api-keys code").innerText();
  assert.match(token, /^ud_[0-9a-f]{64}$/);
  assert.equal((await page.request.get("/api/v1/sites", { headers: { authorization: `Bearer ${token}` } })).status(), 200);
  await page.reload();
  await settled(page);
  assert.equal((await page.content()).includes(token), false);
  page.once("dialog", (dialog) => dialog.accept());
  await page.locator("#api-keys li", { hasText: "CRM" }).getByRole("button", { name: "Відкликати" }).click();
  await page.locator("#api-keys li", { hasText: "CRM" }).getByText("відкликано").waitFor();
});

test("a key is selected where the browser has no clipboard, as over plain http", async () => {
  await at("/keys");
  await page.evaluate(() => Object.defineProperty(navigator, "clipboard", { value: undefined }));
  await page.locator("#api-keys").getByLabel("Назва").fill("Склад");
  await page.locator("#api-keys").getByRole("button", { name: "Створити" }).click();
  const token = await page.locator("#api-keys code").innerText();
  await page.locator("#api-keys").getByRole("button", { name: "Копіювати" }).click();
  assert.equal(await page.evaluate(() => getSelection().toString()), token);
});

test("what is found of one person is never exported or erased of another, who was typed meanwhile", async () => {
  await at("/privacy");
  let answer = () => {};
  await page.route("**/api/v1/privacy/find", async (route) => {
    await new Promise((resolve) => (answer = resolve));
    await route.continue();
  });
  const asked = page.waitForRequest("**/api/v1/privacy/find");
  await page.getByLabel("Електронна пошта").fill("first@shop.example");
  await page.getByRole("button", { name: "Знайти" }).click();
  await asked;
  await page.getByLabel("Електронна пошта").fill("second@shop.example");
  const found = page.waitForResponse("**/api/v1/privacy/find");
  answer();
  await found;
  await page.waitForFunction(() => !document.querySelector("form button[disabled]"));
  assert.equal(await page.getByRole("button", { name: "Видалити назавжди" }).count(), 0);
  await page.getByLabel("Електронна пошта").fill("first@shop.example");
  await page.getByRole("button", { name: "Видалити назавжди" }).waitFor();
});

test("a person is found, and erased for good", async () => {
  const [{ visitor_id }] = await shop.sql("select visitor_id from sessions where site_id = 1 limit 1");
  await at("/privacy");
  await page.getByLabel("Ідентифікатор відвідувача").fill(visitor_id);
  await page.getByRole("button", { name: "Знайти" }).click();
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Вивантажити" }).click();
  assert.equal((await download).suggestedFilename(), "personal-data.json");
  page.once("dialog", (dialog) => dialog.accept());
  await page.getByRole("button", { name: "Видалити назавжди" }).click();
  await page.getByText("Видалено.").waitFor();
  assert.deepEqual(await shop.sql("select 1 from sessions where visitor_id = $1", visitor_id), []);
  await page.goto(`/settings/log?site=${SITE}`);
  await settled(page);
  assert.match(await page.locator("#audit-log li").first().innerText(), new RegExp(`Видалено дані людини[\\s\\S]*${ADMIN.email}`));
});

test("a viewer sees no settings", async () => {
  await at("", { user: VIEWER });
  await page.getByText("лише адміністратори").waitFor();
  assert.equal(await page.locator("form").count(), 0);
});

test("what was refused says why in the reader's language, and so does what came of sending it again", async () => {
  const [{ site_id }] = await shop.sql("select site_id from sites where site_key = $1", SITE);
  await shop.sql("delete from dead_letters");
  const payload = JSON.stringify({ note: "a payload" });
  await shop.sql("insert into dead_letters (site_id, kind, code, message, payload) values ($1, 'orders', 'invalid_field', 'items[0].price: must be an amount', convert_to($2, 'UTF8'))", site_id, payload);
  await at("/dead-letters");
  const panel = page.locator("#dead-letters");
  await panel.getByText("Значення не підходить: items[0].price").waitFor();
  assert.ok(!(await panel.locator("li").innerText()).includes("must be"), "no English in sight");
  await panel.locator("summary").click();
  assert.ok((await panel.locator("li").innerText()).includes("items[0].price: must be an amount"), "the server's own words are beside the payload");
  await panel.getByRole("button", { name: "Надіслати ще раз" }).click();
  await page.getByRole("status").filter({ hasText: /Після повтору: [А-Яа-яіїєґ ]+$/u }).waitFor();
});
