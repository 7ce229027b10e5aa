// The panel for a test: a database of its own with generated data, central-api, and the system's Chromium. Started through ./dev test.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import pg from "pg";
import { chromium } from "playwright-core";

import { CENTRAL_API, centralApi, ROOT, startCentre } from "../stack/centre.mjs";
import { freePort, run } from "../stack/process.mjs";
import { newSecrets } from "../stack/secrets.mjs";

export const SITE = "demo";
export const ADMIN = { email: "admin@shop.example", password: "a-password-for-tests" };
export const VIEWER = { email: "viewer@shop.example", password: "another-password-1" };
/** Pictures that people look at; git ignores them. */
export const SCREENSHOTS = join(ROOT, "tests/screenshots");

/**
 * Starts an installation: `{ url, env, folder, sql(text, …values), remove() }`. `sessions: 0` leaves the site empty, `users: false` makes
 * nobody; `settings(folder)` gives more of central-api's environment.
 */
export async function install({ sessions = 4_000, users = true, settings = () => ({}) } = {}) {
  const server = process.env.UD_TEST_DATABASE_URL;
  if (!server) throw new Error("UD_TEST_DATABASE_URL is not set: run this through ./dev panel");
  const folder = mkdtempSync(join(tmpdir(), "utm-panel-"));
  const name = `ud_panel_${process.pid}_${Math.random().toString(36).slice(2, 8)}`;
  await once(server, `create database ${name}`);
  const database = new URL(server);
  database.pathname = `/${name}`;
  const env = { DATABASE_URL: database.href, UD_SECRET: newSecrets().installation, ...settings(folder) };
  const drop = () => once(server, `drop database if exists ${name} with (force)`);
  try {
    centralApi(env, "migrate");
    centralApi(env, "create-site", SITE, "--name", "Demo shop", "--domain", "shop.example");
    if (users) {
      centralApi({ ...env }, "create-site", "second", "--name", "Second shop with a name that is much longer than others", "--domain", "second.example", "--currency", "USD", "--language", "en");
      makeUser(env, ADMIN, "admin");
      makeUser(env, VIEWER, "viewer");
    }
    if (sessions > 0) centralApi(env, "demo-data", "--site", SITE, "--sessions", String(sessions), "--orders", String(Math.round(sessions / 3)), "--days", "100");
  } catch (error) {
    await drop();
    throw error;
  }
  const log = join(folder, "central-api.log");
  const centre = await startCentre({ env, port: await freePort(), log });
  const db = new pg.Client({ connectionString: database.href });
  await db.connect();
  return {
    url: centre.url,
    env,
    folder,
    log: () => centre.output(),
    /** A command of central-api against this installation. */
    command: (...args) => centralApi(env, ...args),
    /** One more user: `makeUser({ email, password }, role, ...more arguments of create-admin)`. */
    makeUser: (user, role, ...more) => makeUser(env, user, role, ...more),
    sql: async (text, ...values) => (await db.query(text, values)).rows,
    async remove() {
      await centre.stop();
      await db.end();
      await drop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const makeUser = (env, { email, password }, role, ...more) => run(CENTRAL_API, ["create-admin", email, "--role", role, ...more, "--password-stdin"], { env, input: `${password}\n` });

async function once(server, sql) {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  await client.query(sql).finally(() => client.end());
}

/** The system's Chromium, as ./dev found it. */
export function launch() {
  const executablePath = process.env.UD_TEST_CHROMIUM;
  if (!executablePath) throw new Error("UD_TEST_CHROMIUM is not set: run this through ./dev panel");
  // Whoever is root, as in containers, has no sandbox of Chromium's.
  return chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ["--no-sandbox"] : [] });
}

/**
 * A page that notes what the browser complains about, `page.complaints`, and every answer of the API, `page.answers` by path and query.
 * `user: null` stays logged out.
 */
export async function open(browser, url, path = "/", { user = ADMIN, language = "uk", theme = "light", width = 1280, height = 900 } = {}) {
  const context = await browser.newContext({ baseURL: url, viewport: { width, height }, colorScheme: theme, locale: language === "uk" ? "uk-UA" : "en-GB", acceptDownloads: true, reducedMotion: "reduce" });
  const page = await context.newPage();
  page.complaints = [];
  page.answers = new Map();
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && page.complaints.push(message.text()));
  page.on("pageerror", (error) => page.complaints.push(error.message));
  page.on("request", (request) => !request.url().startsWith(url) && page.complaints.push(`asked another host: ${request.url()}`));
  page.reading = new Set();
  page.on("response", (response) => {
    const { pathname, search } = new URL(response.url());
    if (!pathname.startsWith("/api/") || !response.headers()["content-type"]?.includes("json")) return;
    // The browser may have let go of a body that it is asked for late.
    const again = () => (response.request().method() === "GET" ? page.request.get(pathname + search).then((answer) => answer.json()) : Promise.reject(new Error("gone")));
    const reading = response.json().catch(again).then((body) => page.answers.set(pathname + search, body), () => {}).finally(() => page.reading.delete(reading));
    page.reading.add(reading);
  });
  await page.goto(path);
  if (user) {
    await logIn(page, user);
    await settled(page);
  }
  return page;
}

export async function logIn(page, { email, password }) {
  await page.fill("input[name=email]", email);
  await page.fill("input[name=password]", password);
  await page.click("form:has(input[name=password]) button");
  await page.waitForSelector("#main");
}

/** Waits until no panel waits for an answer, and `page.answers` has them all: the browser shows an answer before it tells the test of it. */
export async function settled(page) {
  await page.waitForFunction(() => document.querySelector("main h1") !== null && document.querySelector('[aria-busy="true"]') === null, undefined, { timeout: 60_000 });
  while (page.reading.size > 0) await Promise.all(page.reading);
}

/** The API's answer for this path, with the page's own login. */
export async function ask(page, path, query = {}) {
  const response = await page.request.get(`${path}?${new URLSearchParams({ site: SITE, ...query })}`);
  if (!response.ok()) throw new Error(`${path} answered ${response.status()}: ${await response.text()}`);
  return response.json();
}

/**
 * What this link gives when it is clicked. As a person does: first there, then a click, and once more where nothing came of it: rarely,
 * a click made while Chromium still draws the page it has scrolled is seen by nobody.
 */
export async function downloaded(page, link) {
  await link.scrollIntoViewIfNeeded();
  for (const timeout of [8_000, 30_000]) {
    await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
    const [download] = await Promise.all([page.waitForEvent("download", { timeout }).catch(() => null), link.click()]);
    if (download) return download;
  }
  throw new Error(`nothing was downloaded from ${await link.getAttribute("href")}`);
}

/** Writes a picture of the whole page. */
export async function picture(page, name) {
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
}

/** What a figure in Ukrainian says: the number in "1 217 449 ₴", "17,31 %" or "−3"; null for a dash. */
export function read(text) {
  const plain = text.replace(/[\s\u00a0\u202f]/g, "").replace("−", "-");
  const found = /-?\d+(,\d+)?/.exec(plain);
  return found ? Number(found[0].replace(",", ".")) : null;
}

/** Whether the page says what the API says, to the digits that it shows. */
export function same(shown, value) {
  const said = read(shown);
  if (value === null || value === undefined) return said === null;
  if (said === null) return false;
  const digits = /,(\d+)/.exec(shown)?.[1].length ?? 0;
  return Math.abs(said - value) <= 0.5 * 10 ** -digits + 1e-9;
}
