// Lighthouse's accessibility score of every page of the panel, in Chromium over central-api with generated data, as a phone and on a desk.
//
//   node tests/bench/lighthouse/run.mjs --out FILE [--sessions 4000]
//
// Lighthouse is fetched into this folder when it is not there yet, by its own lock file. It asks no other host: the pages are our own.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { chromium } from "playwright-core";

import { ADMIN, install, logIn } from "../../panel/panel.mjs";
import { freePort } from "../../stack/process.mjs";

/** Points of a hundred. */
const LEAST = 95;
const FULL = "/?period=month&view.compare=1&ab.campaign=brand_always_on&ab.period=all_time&roi.spend=25000";
const PARTS = { analytics: ["", "/revenue-streams", "/customers", "/campaigns"], settings: ["", "/sources", "/worker", "/users", "/keys", "/spend", "/dead-letters", "/privacy", "/log", "/check"] };
const PAGES = [FULL, ...PARTS.analytics.map((part) => `/analytics${part}`), "/reports", ...PARTS.settings.map((part) => `/settings${part}`), "/account"];

const { values: args } = parseArgs({ options: { out: { type: "string" }, sessions: { type: "string", default: "4000" } } });
process.env.UD_TEST_DATABASE_URL ??= process.env.UD_BENCH_DATABASE_URL;
// The program refuses variables of this name that it does not know.
delete process.env.UD_BENCH_DATABASE_URL;

const here = import.meta.dirname;
// Not `ci`, which takes a part that wants an older neighbour for a lock file out of date.
if (!existsSync(join(here, "node_modules/lighthouse/package.json"))) {
  console.error("  fetching Lighthouse …");
  execFileSync("npm", ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: here, stdio: ["ignore", "ignore", "inherit"] });
}
const { default: lighthouse, desktopConfig } = await import("lighthouse");

const rows = [];
const profile = mkdtempSync(join(tmpdir(), "utm-lighthouse-"));
let shop, browser;
try {
  shop = await install({ sessions: Number(args.sessions) });
  const port = await freePort();
  const sandbox = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  // One profile for Lighthouse's tab and the one that logs in.
  browser = await chromium.launchPersistentContext(profile, { executablePath: process.env.UD_TEST_CHROMIUM, locale: "uk-UA", args: [...sandbox, `--remote-debugging-port=${port}`] });
  const measure = async (path, name, config) => {
    const { lhr } = await lighthouse(shop.url + path, { port, onlyCategories: ["accessibility"], disableStorageReset: true, logLevel: "silent", maxWaitForLoad: 60_000 }, config);
    if (lhr.runtimeError) throw new Error(`${path}: ${lhr.runtimeError.message}`);
    const score = Math.round(lhr.categories.accessibility.score * 100);
    const lost = lhr.categories.accessibility.auditRefs.map(({ id, weight }) => ({ ...lhr.audits[id], weight })).filter(({ score, weight }) => score !== null && score < 1 && weight > 0);
    console.error(`  ${name.padEnd(44)} ${score}`);
    for (const { id, details } of lost) console.error(`    ${id}: ${details?.items?.slice(0, 3).map(({ node }) => node?.selector).join(" | ")}`);
    rows.push({ name: `Lighthouse accessibility, ${name}`, unit: "of 100", ours: score, reference: null, ratio: null, budget: LEAST, met: score >= LEAST });
  };
  await measure("/", "login, as a phone");
  const page = await browser.newPage();
  await page.goto(shop.url);
  await logIn(page, ADMIN);
  await page.waitForSelector("#main h1");
  for (const path of PAGES) {
    const name = path.split("?")[0];
    await measure(path, `${name}, as a phone`);
    await measure(path, `${name}, on a desk`, desktopConfig);
  }
} finally {
  await browser?.close();
  await shop?.remove();
  rmSync(profile, { recursive: true, force: true });
}
if (args.out) writeFileSync(args.out, `${JSON.stringify({ results: rows }, null, 1)}\n`);
