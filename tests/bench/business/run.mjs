// Customers and business figures over a million orders: every page's JSON from the release program over HTTP, making a year anew, and how
// long an order takes to be counted.
//
//   node tests/bench/business/run.mjs --out FILE [--orders 1000000] [--requests 20] [--database URL]
//
// Makes a database on the server that UD_BENCH_DATABASE_URL names, fills it and drops it afterwards; --database takes one that is filled.
import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const { values: args } = parseArgs({
  options: {
    out: { type: "string" },
    orders: { type: "string", default: "1000000" },
    requests: { type: "string", default: "20" },
    database: { type: "string" },
    program: { type: "string", default: "target/release/central-api" },
  },
});
const server = process.env.UD_BENCH_DATABASE_URL;
if (!server) throw new Error("UD_BENCH_DATABASE_URL names the Postgres server to measure on; ./dev bench sets it");
const name = `ud_bench_business_${process.pid}`;
const url = new URL(args.database ?? server);
if (!args.database) url.pathname = `/${name}`;

const freePort = async () => {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  listener.close();
  return port;
};
const port = await freePort();
const env = {
  PATH: process.env.PATH,
  DATABASE_URL: url.href,
  UD_SECRET: "the secret of a bench is at least thirty-two characters",
  UD_LISTEN: `127.0.0.1:${port}`,
  RUST_LOG: "warn",
};
const program = (...words) => promisify(execFile)(args.program, words, { cwd: root, env, maxBuffer: 1 << 26 });
const psql = (text, database = server) => execFileSync("psql", [database, "-qAtc", text], { encoding: "utf8" }).trim();
const percentile = (sorted, share) => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const day = (back) => new Date(Date.now() - back * 86_400_000).toISOString().slice(0, 10);

const rows = [];
const row = (name, unit, ours, budget, more = {}) => {
  console.error(`  ${name.padEnd(58)} ${ours.toFixed(1)} ${unit}`);
  rows.push({ name, unit, ours, reference: null, ratio: null, budget, met: budget === null ? null : ours <= budget, ...more });
};
let child;
try {
  if (!args.database) {
    psql(`create database ${name}`);
    await program("migrate");
    await program("create-site", "demo", "--domain", "shop.example");
    console.error(`  filling ${args.orders} orders …`);
    await program("demo-data", "--sessions", String(Math.ceil(Number(args.orders) / 5)), "--orders", args.orders);
  }
  let began = performance.now();
  await program("update-analytics");
  row("every customer and day made anew", "s", (performance.now() - began) / 1000, null);
  psql("vacuum analyze", url.href);
  console.error(`  ${psql("select count(*) from order_facts", url.href)} orders, ${psql("select count(*) from customer_metrics", url.href)} customers`);
  began = performance.now();
  await program("update-analytics", "--from", day(365), "--to", day(0));
  row("a year of days made anew", "s", (performance.now() - began) / 1000, 60);
  psql("vacuum analyze", url.href);

  const made = await program("create-key", "--kind", "api", "--scopes", "read,orders");
  const token = /^TOKEN=(.+)$/m.exec(made.stdout)?.[1];
  if (!token) throw new Error(`no token in: ${made.stdout}`);
  child = spawn(args.program, ["serve"], { cwd: root, env, stdio: ["ignore", "ignore", "inherit"] });
  const call = async (path, init = {}) => {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { ...init, headers });
    const body = await answer.text();
    if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${body.slice(0, 300)}`);
    return JSON.parse(body);
  };
  for (let tries = 0; ; tries += 1) {
    try {
      await fetch(`http://127.0.0.1:${port}/readyz`);
      break;
    } catch (error) {
      if (tries > 100) throw error;
      await pause(100);
    }
  }
  const measure = async (name, path, budget) => {
    for (let n = 0; n < 3; n += 1) await call(path);
    const times = [];
    for (let n = 0; n < Number(args.requests); n += 1) {
      const started = performance.now();
      await call(path);
      times.push(performance.now() - started);
    }
    times.sort((a, b) => a - b);
    row(`${name}, p95`, "ms", percentile(times, 0.95), budget, { p50: percentile(times, 0.5) });
  };
  // A campaign that a part of the orders is of.
  const site = psql("select site_id from order_facts limit 1", url.href);
  const campaign = psql(
    `insert into campaigns (site_id, name, discount_type, status, start_day, utm_campaigns, promo_codes, created_at, updated_at)
     select ${site}, 'bench', 'none', 'active', '${day(60)}', array[(select utm_campaign from order_facts where utm_campaign is not null
       group by 1 order by count(*) desc limit 1)], '{}', now(), now() returning campaign_id`,
    url.href,
  );
  for (const period of ["month", "all_time"]) {
    await measure(`dashboard, ${period}`, `/api/v1/analytics/dashboard?period=${period}`, 200);
    await measure(`revenue-streams, ${period}`, `/api/v1/analytics/revenue-streams?period=${period}`, 200);
    await measure(`customers, ${period}`, `/api/v1/analytics/customers?period=${period}`, 200);
    await measure(`customer-segments, ${period}`, `/analytics/api/customer-segments/?period=${period}`, 200);
    await measure(`daily-revenue, ${period}`, `/analytics/api/daily-revenue/?period=${period}`, 200);
    await measure(`repeat-rate, ${period}`, `/api/utm/repeat-rate?period=${period}`, 300);
    await measure(`repeat-rate by order date, ${period}`, `/api/utm/repeat-rate?period=${period}&attribution_date=order`, 300);
  }
  await measure("dashboard, 30 days of last spring", "/api/v1/analytics/dashboard?start_date=2026-04-01&end_date=2026-04-30", 200);
  await measure("campaigns", "/api/v1/analytics/campaigns", 200);
  await measure("campaign of 60 days", `/api/v1/analytics/campaigns/${campaign}`, 200);

  const purchases = async () => (await call("/api/v1/analytics/dashboard?period=today")).kpis.orders;
  const waits = [];
  for (let n = 0; n < 5; n += 1) {
    const before = await purchases();
    const started = performance.now();
    await call("/api/v1/orders", {
      method: "POST",
      body: JSON.stringify({ order_id: `bench-${process.pid}-${n}`, total: "100", payment_status: "paid", email: "bench@shop.example" }),
    });
    while ((await purchases()) === before) await pause(100);
    waits.push((performance.now() - started) / 1000);
  }
  row("from an order to its day and customer, slowest of 5", "s", Math.max(...waits), 10);
} finally {
  if (child) {
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  }
  if (!args.database) psql(`drop database if exists ${name} with (force)`);
}
if (args.out) writeFileSync(args.out, `${JSON.stringify({ results: rows }, null, 1)}\n`);
