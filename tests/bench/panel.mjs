// The dispatcher page in Chromium over the release program: how much it loads, how long from nothing to filled cards and to a complete page
// with a cold browser cache, and from a click to new numbers; what moves meanwhile; how many requests that takes.
//
//   node tests/bench/panel.mjs --out FILE [--sessions 1000000] [--database NAME] [--runs 7] [--trace FILE] [--requests]
//
// Makes a database on the server that UD_BENCH_DATABASE_URL names, fills it and drops it afterwards; --database takes one of that server that
// is filled and leaves it as it was (a user is there meanwhile). --requests: prints every request of one load. --trace: writes what the browser did in one load, for
// Chrome's performance panel. Chromium: UD_TEST_CHROMIUM, as for the tests.
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import pg from "pg";

import { launch, logIn } from "../panel/panel.mjs";
import { CENTRAL_API, centralApi, startCentre } from "../stack/centre.mjs";
import { freePort, run } from "../stack/process.mjs";

/** Milliseconds from a cold browser cache, and warm; KiB, gzipped; what Chromium calls a good cumulative layout shift. */
const BUDGET = { cards: 1_000, complete: 2_000, interaction: 300, weight: 250, shift: 0.1 };
const USER = { email: "bench@shop.example", password: "a-password-for-the-bench" };

const { values: args } = parseArgs({
  options: {
    out: { type: "string" },
    sessions: { type: "string", default: "1000000" },
    database: { type: "string" },
    runs: { type: "string", default: "7" },
    trace: { type: "string" },
    requests: { type: "boolean", default: false },
  },
});
const server = process.env.UD_BENCH_DATABASE_URL;
if (!server) throw new Error("UD_BENCH_DATABASE_URL names the Postgres server to measure on; ./dev bench sets it");
// The program refuses variables of this name that it does not know.
delete process.env.UD_BENCH_DATABASE_URL;
const name = args.database ?? `ud_bench_panel_${process.pid}`;
const url = new URL(server);
url.pathname = `/${name}`;

async function sql(text, database = server) {
  const client = new pg.Client({ connectionString: database });
  await client.connect();
  return client.query(text).finally(() => client.end());
}

/** Notes in the page itself when its cards were filled and when nothing was awaited any more: from outside it would be seen later. */
function watch() {
  const cards = () => document.querySelector("#figures[aria-busy=false] [data-figure]") !== null;
  const complete = () => document.querySelectorAll("section[aria-busy]").length > 20 && document.querySelector('[aria-busy="true"]') === null;
  window.benched = {};
  window.shifts = [];
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) if (!one.hadRecentInput) window.shifts.push({ value: one.value, at: one.startTime, of: one.sources.map(({ node }) => (node?.closest ? (node.closest("[id]")?.id ?? node.className) : "?")) });
  }).observe({ type: "layout-shift", buffered: true });
  /** Looks before each frame is drawn; what is seen there is on the screen with that frame. */
  const look = (from, noted) => {
    noted.cards ??= cards() ? performance.now() - from : undefined;
    noted.complete ??= complete() ? performance.now() - from : undefined;
    if (noted.complete === undefined) requestAnimationFrame(() => look(from, noted));
  };
  look(0, window.benched);
  addEventListener(
    "click",
    () => {
      const noted = (window.interaction = {});
      const from = performance.now();
      // By then the click's own handlers have begun what they begin, so that what was there before is not taken for the answer.
      queueMicrotask(() => requestAnimationFrame(() => look(from, noted)));
    },
    true,
  );
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const rows = [];
function row(name, values, budget) {
  const ours = median(values);
  console.error(`  ${name.padEnd(64)} median ${Math.round(ours)}, ${Math.round(Math.min(...values))} to ${Math.round(Math.max(...values))} ms`);
  rows.push({ name, unit: "ms", ours, reference: null, ratio: null, budget, met: ours <= budget, least: Math.min(...values), most: Math.max(...values) });
}
function other(name, unit, ours, budget, more = {}) {
  console.error(`  ${name.padEnd(64)} ${Number(ours.toPrecision(3))} ${unit}`);
  rows.push({ name, unit, ours, reference: null, ratio: null, budget, met: ours <= budget, ...more });
}

let centre, browser;
try {
  const env = { DATABASE_URL: url.href, UD_SECRET: "the secret of a bench is at least thirty-two characters", RUST_LOG: "warn" };
  if (!args.database) {
    await sql(`create database ${name}`);
    centralApi(env, "migrate");
    centralApi(env, "create-site", "demo", "--domain", "shop.example");
    console.error(`  filling ${args.sessions} sessions …`);
    centralApi(env, "demo-data", "--sessions", args.sessions);
    await sql("vacuum analyze", url.href);
  } else {
    // What is measured is nothing that others look at, and stays as it is.
    env.UD_RUN_JOBS = "false";
    await forget();
  }
  run(CENTRAL_API, ["create-admin", USER.email, "--role", "admin", "--password-stdin"], { env, input: `${USER.password}\n` });
  const { count } = (await sql("select count(*) from sessions", url.href)).rows[0];
  const size = Number(count) >= 1e6 ? `${Math.round(count / 1e6)} M` : count;
  centre = await startCentre({ env, port: await freePort(), log: join(tmpdir(), `${name}.log`) });
  browser = await launch();

  const context = (storageState) => browser.newContext({ baseURL: centre.url, viewport: { width: 1280, height: 900 }, locale: "uk-UA", ...(storageState && { storageState }) });
  const first = await context();
  const page = await first.newPage();
  await page.goto("/");
  await logIn(page, USER);
  const login = await first.storageState();
  await first.close();

  // A context of its own has a cache of its own: every load is a first one.
  for (const [words, path] of [["month", "/"], ["90 days", `/?start_date=${day(89)}&end_date=${day(0)}`]]) {
    const loads = [];
    const files = new Set();
    for (let n = 0; n < Number(args.runs); n += 1) {
      const one = await context(login);
      await one.addInitScript(watch);
      const page = await one.newPage();
      const requests = [];
      page.on("requestfinished", (request) => requests.push(request));
      const traced = args.trace && n === 1 && path === "/";
      if (traced) await browser.startTracing(page, { path: args.trace });
      await page.goto(path);
      await page.waitForFunction(() => window.benched.complete !== undefined, undefined, { timeout: 120_000, polling: 50 });
      if (traced) await browser.stopTracing();
      // What is complete may still move in the frames after.
      await page.waitForTimeout(300);
      for (const request of requests) if (!new URL(request.url()).pathname.startsWith("/api/")) files.add(new URL(request.url()).pathname);
      loads.push({ ...(await page.evaluate(() => ({ ...window.benched, shifts: window.shifts }))), ...(await weight(requests, args.requests && n === 1)) });
      await one.close();
    }
    row(`${size} sessions, ${words}: cards filled, cold cache`, loads.map((load) => load.cards), BUDGET.cards);
    row(`${size} sessions, ${words}: complete, cold cache`, loads.map((load) => load.complete), BUDGET.complete);
    const { asked, twice, bytes } = loads.at(-1);
    rows.push({ name: `${size} sessions, ${words}: requests of the API that ask the same twice`, unit: "requests", ours: twice, reference: asked, ratio: null, budget: 0, met: twice === 0 });
    console.error(`  ${asked} requests of the API, ${twice} twice; ${Math.round(bytes / 1024)} KiB over the wire in all`);
    const moved = loads.map(({ shifts }) => shifts.reduce((sum, { value }) => sum + value, 0));
    other(`${size} sessions, ${words}: cumulative layout shift`, "", Math.max(...moved), BUDGET.shift);
    if (args.requests) for (const { value, at, of } of loads.at(-1).shifts) console.error(`    ${value.toFixed(4)} at ${Math.round(at)} ms: ${of.join(", ")}`);
    other(`${words}: files of the first load, gzipped`, "KiB", (await gzipped(files)) / 1024, BUDGET.weight, { files: files.size });
  }

  const warm = await context(login);
  await warm.addInitScript(watch);
  const used = await warm.newPage();
  await used.goto("/");
  await used.waitForFunction(() => window.benched.complete !== undefined, undefined, { timeout: 120_000, polling: 50 });
  const clicks = [];
  for (let n = 0; n < 2 * Number(args.runs); n += 1) {
    await used.getByRole("button", { name: n % 2 === 0 ? "Тиждень" : "Місяць" }).click();
    await used.waitForFunction(() => window.interaction?.complete !== undefined, undefined, { timeout: 60_000, polling: 50 });
    // The first of each is not warm.
    if (n > 1) clicks.push(await used.evaluate(() => window.interaction));
  }
  row(`${size} sessions: from a click on a period to new cards, warm`, clicks.map((click) => click.cards), BUDGET.interaction);
  row(`${size} sessions: from a click on a period to a complete page, warm`, clicks.map((click) => click.complete), 2 * BUDGET.interaction);
} finally {
  await browser?.close();
  await centre?.stop();
  if (args.database) await forget();
  else await sql(`drop database if exists ${name} with (force)`);
}
if (args.out) writeFileSync(args.out, `${JSON.stringify({ results: rows }, null, 1)}\n`);

/** A local day so many days ago. */
function day(back) {
  return new Date(Date.now() - back * 86_400_000).toISOString().slice(0, 10);
}

/** Takes the bench's own user and all traces of it away. */
async function forget() {
  const own = `(select user_id from users where email = '${USER.email}')`;
  await sql(`delete from audit_log where user_id = ${own}; delete from admin_sessions where user_id = ${own}; delete from users where email = '${USER.email}'`, url.href);
}

/** Bytes of files of the panel as gzip, whatever the browser takes. */
async function gzipped(paths) {
  let bytes = 0;
  for (const path of paths) {
    const answer = await fetch(centre.url + path, { headers: { "accept-encoding": "gzip", accept: "text/html" } });
    bytes += Number(answer.headers.get("content-length"));
    await answer.body.cancel();
  }
  return bytes;
}

/** How much a load asked for. */
async function weight(requests, printed) {
  const asked = requests.filter((request) => new URL(request.url()).pathname.startsWith("/api/"));
  let bytes = 0;
  const lines = [];
  const begun = Math.min(...requests.map((request) => request.timing().startTime));
  for (const request of requests) {
    const { responseBodySize, responseHeadersSize } = await request.sizes();
    bytes += responseBodySize + responseHeadersSize;
    const { startTime, requestStart, responseStart, responseEnd } = request.timing();
    lines.push([startTime - begun, requestStart, responseStart - requestStart, responseEnd - responseStart, request.url().replace(centre.url, "").slice(0, 110)]);
  }
  if (printed) {
    console.error("   began  waited  answer  body, ms");
    for (const [began, waited, answer, body, what] of lines.toSorted((a, b) => a[0] + a[1] - b[0] - b[1])) console.error(`  ${[began, waited, answer, body].map((ms) => ms.toFixed(0).padStart(6)).join("  ")}  ${what}`);
  }
  return { asked: asked.length, twice: asked.length - new Set(asked.map((request) => request.url())).size, bytes };
}
