// Cohorts, A/B tests, LTV and repeat purchases over a year of a demo shop, asked of the release program over HTTP: warm requests one after
// another, median and 95th percentile of each against its budget.
//
//   node tests/bench/statistics/run.mjs --out FILE [--sessions 1000000] [--requests 20] [--database URL]
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
    sessions: { type: "string", default: "1000000" },
    requests: { type: "string", default: "20" },
    database: { type: "string" },
    program: { type: "string", default: "target/release/central-api" },
  },
});
const sessions = Number(args.sessions);
const large = sessions > 3_000_000;
const server = process.env.UD_BENCH_DATABASE_URL;
if (!server) throw new Error("UD_BENCH_DATABASE_URL names the Postgres server to measure on; ./dev bench sets it");
const name = `ud_bench_statistics_${process.pid}`;
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
const rows = [];
let child;
try {
  if (!args.database) {
    psql(`create database ${name}`);
    await program("migrate");
    await program("create-site", "demo", "--domain", "shop.example");
    console.error(`  filling ${sessions} sessions …`);
    await program("demo-data", "--sessions", String(sessions));
    psql("vacuum analyze", url.href);
  }
  const made = await program("create-key", "--kind", "api", "--scopes", "read");
  const token = /^TOKEN=(.+)$/m.exec(made.stdout)?.[1];
  if (!token) throw new Error(`no token in: ${made.stdout}`);
  child = spawn(args.program, ["serve"], { cwd: root, env, stdio: ["ignore", "ignore", "inherit"] });

  const ask = async (path) => {
    const started = performance.now();
    const answer = await fetch(`http://127.0.0.1:${port}/api/utm/${path}`, { headers: { authorization: `Bearer ${token}` } });
    const body = await answer.text();
    if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${body.slice(0, 300)}`);
    return [performance.now() - started, JSON.parse(body)];
  };
  for (let tries = 0; ; tries += 1) {
    try {
      await fetch(`http://127.0.0.1:${port}/readyz`);
      break;
    } catch (error) {
      if (tries > 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  const measure = async (name, path, budget) => {
    for (let n = 0; n < 3; n += 1) await ask(path);
    const times = [];
    for (let n = 0; n < Number(args.requests); n += 1) times.push((await ask(path))[0]);
    times.sort((a, b) => a - b);
    const [p50, p95] = [percentile(times, 0.5), percentile(times, 0.95)];
    console.error(`  ${name.padEnd(52)} p50 ${p50.toFixed(1)} ms, p95 ${p95.toFixed(1)} ms`);
    rows.push({ name: `${name}, p95`, unit: "ms", ours: p95, reference: null, ratio: null, budget, met: p95 <= budget, p50 });
  };

  const cohorts = large ? 1000 : 200;
  for (const type of ["day", "week", "month"]) {
    for (const metric of ["retention", "ltv", "orders", "revenue"]) {
      await measure(`cohorts by ${type}, ${metric}, 90 days`, `cohort-analysis?cohort_type=${type}&metric=${metric}&periods=31`, cohorts);
    }
  }
  await measure("cohorts by month, retention, all time", "cohort-analysis?cohort_type=month&period=all_time", cohorts);
  const [, sources] = await ask("sources?period=all_time&limit=1");
  const source = encodeURIComponent((sources.sources ?? sources.rows)[0].utm_source);
  await measure("cohorts by week, retention, 90 days, one source", `cohort-analysis?utm_source=${source}`, large ? 3000 : 300);
  await measure("cohorts by week, ltv, 90 days, one country and device", "cohort-analysis?metric=ltv&country=UA&device_type=mobile", large ? 3000 : 300);
  const [, campaigns] = await ask("campaigns?period=month&limit=1&utm_content=!(not%20set)");
  const campaign = encodeURIComponent((campaigns.campaigns ?? campaigns.rows)[0].utm_campaign);
  await measure("ab-test of the largest campaign, month", `ab-test?campaign=${campaign}&period=month`, 50);
  await measure("ab-test of the largest campaign, all time", `ab-test?campaign=${campaign}&period=all_time`, large ? 250 : 50);
  await measure("ltv-comparison, month", "ltv-comparison?period=month", large ? 100 : 30);
  await measure("ltv-comparison, all time", "ltv-comparison?period=all_time", 250);
  await measure("repeat-rate, all time", "repeat-rate?period=all_time", 300);
} finally {
  if (child) {
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  }
  if (!args.database) psql(`drop database if exists ${name} with (force)`);
}
if (args.out) writeFileSync(args.out, `${JSON.stringify({ results: rows }, null, 1)}\n`);
