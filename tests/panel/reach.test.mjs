// Whom the panel reaches: both languages, both themes, a phone, a keyboard, a screen reader; and its first run.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, afterEach, before, test } from "node:test";

import { ADMIN, install, launch, logIn, open, picture, settled, SITE } from "./panel.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** A page with as much on it as there is. */
const FULL = "/?period=month&view.compare=1&ab.campaign=brand_always_on&ab.period=all_time&roi.spend=25000&utm_source=google";

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

/** The page with everything on it, also what is asked for once it is in sight. */
async function openWhole(...asked) {
  const page = await open(browser, shop.url, ...asked);
  const late = page.locator("#touches");
  if ((await late.count()) > 0) {
    await late.scrollIntoViewIfNeeded();
    await late.locator("tbody").waitFor();
    await settled(page);
    await page.evaluate(() => scrollTo(0, 0));
  }
  return page;
}

/** Every text that somebody reads or hears, but what a choice offers in its own language. */
const texts = () =>
  page.evaluate(() => {
    const found = new Set();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) if (!walker.currentNode.parentElement.closest("script, style, [lang]:not(html)")) found.add(walker.currentNode.textContent.trim());
    for (const element of document.querySelectorAll("[title], [aria-label], [placeholder], [alt]")) for (const name of ["title", "aria-label", "placeholder", "alt"]) found.add(element.getAttribute(name)?.trim() ?? "");
    found.add(document.title);
    return [...found].filter(Boolean);
  });

/** Every string in the API's answers, English texts aside: what the shop and the platforms named. */
function named(answers) {
  const words = new Set();
  const collect = (value, key) => {
    if (key === "en") return;
    if (typeof value === "string") words.add(value.toLowerCase());
    else if (value && typeof value === "object") for (const [inner, one] of Object.entries(value)) {
      words.add(inner.toLowerCase());
      collect(one, inner);
    }
  };
  for (const answer of answers.values()) collect(answer);
  return [...words].join("\n");
}

/** Names that are the same in every language. */
const INTERNATIONAL = new Set(["utm", "dispatcher", "csv", "xlsx", "api", "ltv", "roi", "roas", "cpa", "max", "demo", "shop", "second", "uah", "id"]);

for (const path of [FULL, "/account"]) {
  test(`${path.split("?")[0]} says everything in Ukrainian`, async () => {
    page = await openWhole(path);
    const foreign = async () => {
      const data = named(page.answers);
      return (await texts()).filter((text) => (text.match(/[A-Za-z]{2,}/g) ?? []).some((word) => !INTERNATIONAL.has(word.toLowerCase()) && !data.includes(word.toLowerCase())));
    };
    // The page may show an answer before the test is told of it.
    for (let tries = 0; tries < 50 && (await foreign()).length > 0; tries += 1) {
      await new Promise((wake) => setTimeout(wake, 100));
      await Promise.all(page.reading);
    }
    assert.deepEqual(await foreign(), []);
  });

  test(`${path.split("?")[0]} says everything in English, also when switched at once`, async () => {
    page = await openWhole(path);
    await page.getByLabel("Мова").selectOption("en");
    await settled(page);
    const foreign = (await texts()).filter((text) => /[а-яіїєґ]/i.test(text.replace("Українська", "")));
    assert.deepEqual(foreign, []);
    assert.equal(await page.evaluate(() => document.documentElement.lang), "en");
    await page.reload();
    await settled(page);
    assert.equal(await page.evaluate(() => document.documentElement.lang), "en");
  });
}

for (const [theme, width] of [["light", 1440], ["dark", 1440], ["light", 390], ["dark", 390]]) {
  test(`axe finds nothing but what is minor, ${theme}, ${width} px, and nothing lies beside the page`, async () => {
    page = await openWhole(FULL, { theme, width, language: theme === "dark" ? "en" : "uk" });
    const violations = await check();
    await picture(page, `dispatcher-${theme}-${width}`);
    assert.deepEqual(violations, []);
    const sideways = await page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - innerWidth));
    assert.equal(sideways, 0);
    await page.locator("#sessions tbody tr").first().click();
    await page.getByRole("dialog").locator("[data-action]").first().waitFor();
    await page.screenshot({ path: `tests/screenshots/session-${theme}-${width}.png` });
    assert.deepEqual(await check(), []);
    const wide = await page.getByRole("dialog").evaluate((dialog) => dialog.scrollWidth - dialog.clientWidth);
    assert.equal(wide, 0);
    assert.deepEqual(page.complaints, []);
  });
}

/** Findings of axe that are more than minor, as one line each. */
const check = async () => {
  // Evaluated by the driver: the page's policy would refuse it as a script.
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ["violations"] });
    return violations.filter(({ impact }) => impact !== "minor").map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(" ")).slice(0, 4).join(" | ")}`);
  });
};

for (const width of [390, 1280]) {
  test(`names of 255 characters, and sums of a trillion stay within ${width} px`, async () => {
    const long = `${"дуже-довга-назва_".repeat(15)}`.slice(0, 255);
    await shop.sql("update sessions set utm_source = $1, utm_campaign = $1, landing_path = '/' || $1, city = $1 where utm_source = 'google'", long);
    await shop.sql("update sessions set revenue = 987654321098.76, orders = 1, paid_orders = 1 where session_id = (select session_id from sessions where utm_source = $1 order by first_seen desc limit 1)", long);
    shop.command("rollup", "rebuild", "--site", SITE);
    page = await openWhole("/?view.compare=1&period=all_time", { width });
    const wide = await page.evaluate(() => [...document.querySelectorAll("main *")].filter((element) => element.getBoundingClientRect().right > innerWidth + 1 && !element.closest(".scroll, .segments, .unseen, [popover]")).map((element) => element.outerHTML.slice(0, 120)));
    assert.deepEqual(wide, []);
    assert.match(await page.locator("#figures [data-figure=total_revenue] .value").getAttribute("title"), /987/);
    const cut = await page.locator("#figures .value").evaluateAll((all) => all.filter((value) => value.scrollWidth > value.clientWidth).map((value) => value.innerText));
    assert.deepEqual(cut, []);
    await picture(page, `hostile-${width}`);
    await page.locator("#sessions tbody tr").first().click();
    await page.getByRole("dialog").locator("[data-action]").first().waitFor();
    assert.equal(await page.getByRole("dialog").evaluate((dialog) => dialog.scrollWidth - dialog.clientWidth), 0);
    assert.deepEqual(page.complaints, []);
  });
}

test("names of their whole length and without a space stay within a phone, in dialogs too", async () => {
  const long = "д".repeat(100);
  page = await open(browser, shop.url, "/reports", { width: 390, height: 844 });
  const make = async (path, data) => {
    const made = await page.request.post(path, { data, headers: { origin: shop.url } });
    assert.ok(made.ok(), await made.text());
    return made.json();
  };
  await make(`/api/v1/report-schedules?site=${SITE}`, { name: long, frequency: "daily", hour: 9, recipients: [`${"d".repeat(60)}@shop.example`], filters: { utm_campaign: ["ж".repeat(255)] } });
  const campaign = await make("/api/v1/analytics/campaigns", { site: SITE, name: long, description: "о".repeat(500), discount_type: "none", discount_value: "0", start_day: "2026-01-01", utm_campaigns: ["к".repeat(255)], promo_codes: ["П".repeat(100)] });
  await make("/api/v1/api-keys", { site: SITE, name: long, scopes: ["read"] });
  for (const [path, edit] of [["/reports", "Змінити"], [`/analytics/campaigns/${campaign.id}`, "Змінити"], ["/analytics/campaigns", null], ["/settings/keys", null], ["/settings/log", null]]) {
    await page.goto(path);
    await settled(page);
    assert.equal(await page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - innerWidth)), 0, path);
    if (!edit) continue;
    await page.getByRole("button", { name: edit }).first().click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Зберегти" }).waitFor();
    assert.equal(await dialog.evaluate((one) => one.scrollWidth - one.clientWidth), 0, `the dialog of ${path}`);
    const field = await dialog.locator("input, textarea").first().boundingBox();
    assert.ok(field.x >= 0 && field.x + field.width <= 390 && field.y < 844, `a field of ${path} is in sight`);
    await picture(page, `long-${path.split("/")[1]}`);
  }
});

test("nor at the login, the account and on the other pages", async () => {
  page = await open(browser, shop.url, "/account", { user: null });
  assert.deepEqual(await check(), []);
  await picture(page, "login");
  await logIn(page, ADMIN);
  await settled(page);
  assert.deepEqual(await check(), []);
  await picture(page, "account");
  for (const path of ["/analytics/dashboard", "/analytics/revenue-streams", "/analytics/customers", "/analytics/campaigns", "/reports", "/settings/spend", "/settings/keys"]) {
    await page.goto(path);
    await settled(page);
    assert.deepEqual(await check(), [], path);
  }
});

test("the focus goes to the page that was chosen, and back to what opened a dialog once its form is saved", async () => {
  page = await open(browser, shop.url, "/");
  await page.getByRole("link", { name: "Звіти на пошту" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Звіти на пошту" }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  await page.getByRole("button", { name: "Додати розклад" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").getByLabel("Кому").fill("owner@shop.example");
  await page.getByRole("dialog").getByRole("button", { name: "Зберегти" }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.waitForFunction(() => document.activeElement.textContent.includes("Додати розклад"));
});

test("everything is done by keyboard: skip to the content, choose a period, filter, open and close a session", async () => {
  page = await open(browser, shop.url);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  const press = async (locator, key = "Enter") => {
    await locator.focus();
    assert.ok(await locator.evaluate((element) => element.matches(":focus-visible")), "the focus is seen");
    await page.keyboard.press(key);
    await settled(page);
  };
  await press(page.getByRole("button", { name: "Тиждень" }));
  assert.match(page.url(), /period=week/);
  await press(page.locator("#sources tbody tr").first().getByRole("button"));
  assert.match(page.url(), /utm_source=/);
  await press(page.locator("#figures [data-figure=total_sessions]").getByRole("button"));
  assert.ok(await page.locator("#figures [popover]:popover-open").isVisible());
  await page.keyboard.press("Escape");
  await press(page.locator("#over-time svg[role=img]").first(), "ArrowRight");
  assert.ok(await page.locator("#over-time .tip").isVisible());
  await press(page.locator("#sessions tbody tr").first().getByRole("button"));
  const dialog = page.getByRole("dialog");
  await dialog.waitFor();
  assert.ok(await dialog.evaluate((element) => element.contains(document.activeElement)), "the dialog has the focus");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.deepEqual(page.complaints, []);
});

test("who asks for less motion sees nothing move, and every change at once", async () => {
  page = await open(browser, shop.url, "/", { user: null });
  await page.route("**/api/**", (route) => (route.request().url().includes("/api/utm/") ? undefined : route.continue()));
  await logIn(page, ADMIN);
  await page.locator('[aria-busy="true"]').first().waitFor();
  const [moving, seen] = await page.evaluate(() => {
    const moving = document.getAnimations().length;
    const main = document.querySelector("#main");
    main.style.visibility = "hidden";
    return [moving, getComputedStyle(main.querySelector("h1")).visibility];
  });
  assert.deepEqual([moving, seen], [0, "hidden"]);
});

test("the theme follows the system until one is chosen, and stays chosen", async () => {
  page = await open(browser, shop.url, "/", { theme: "dark" });
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const dark = await background();
  await page.getByRole("button", { name: /Оформлення/ }).click();
  await page.waitForFunction((before) => getComputedStyle(document.documentElement).backgroundColor !== before, dark);
  const light = await background();
  assert.notEqual(light, dark);
  await page.reload();
  await settled(page);
  assert.equal(await background(), light);
});

test("the panel's files are compressed, kept for ever by their hashed names, and weigh less than they may", async () => {
  page = await open(browser, shop.url, "/", { user: null });
  const loaded = new Map();
  page.on("response", (response) => loaded.set(new URL(response.url()).pathname, response));
  await page.reload();
  await logIn(page, ADMIN);
  await settled(page);
  const files = [...loaded].filter(([path]) => path.startsWith("/assets/"));
  assert.ok(files.length >= 4);
  for (const [path, response] of files) {
    const headers = await response.allHeaders();
    assert.match(headers["cache-control"], /immutable/, path);
    assert.match(headers["content-encoding"], /br|gzip/, path);
    assert.match(path, /-[\w-]{8}\.(js|css)$/);
  }
  let weight = 0;
  for (const path of [...files.map(([path]) => path), "/", "/icon.svg"]) {
    const response = await fetch(shop.url + path, { headers: { "accept-encoding": "gzip", accept: "text/html" } });
    weight += Number(response.headers.get("content-length"));
  }
  assert.ok(weight > 20_000 && weight <= 250 * 1024, `${weight} bytes`);
});

test("the first admin is made by the link of the server's log, once", async () => {
  const fresh = await install({ sessions: 0, users: false });
  try {
    page = await open(browser, fresh.url, "/", { user: null });
    await page.getByText("Адміністратора ще немає").waitFor();
    const token = /#\/setup\/(\w+)/.exec(fresh.log())?.[1];
    assert.ok(token, "the server wrote the link");
    await page.goto("about:blank");
    await page.goto(`${fresh.url}/#/setup/${token}`);
    await page.fill("input[name=email]", "first@shop.example");
    await page.fill("input[name=password]", "the-first-password");
    await page.fill("input[name=again]", "the-first-password");
    await page.getByRole("button", { name: "Створити" }).click();
    await page.getByText("Готово. Тепер увійдіть.").waitFor();
    await page.getByRole("button", { name: "До входу" }).click();
    await logIn(page, { email: "first@shop.example", password: "the-first-password" });
    await settled(page);
    assert.match(await page.locator("main").innerText(), /Даних ще немає/);
    await picture(page, "empty");
    assert.deepEqual(page.complaints.filter((text) => !text.includes("about:blank")), []);
  } finally {
    await fresh.remove();
  }
});
