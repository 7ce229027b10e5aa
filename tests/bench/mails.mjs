// Reports by e-mail: how long a weekly one takes to be rendered, which of its figures take that long, and 500 mails through an SMTP server on
// this machine.
//
//   node tests/bench/mails.mjs --out FILE [--sessions 1000000] [--database NAME] [--runs 5]
//
// Makes a database on the server that UD_BENCH_DATABASE_URL names, fills it and drops it afterwards; --database takes one of that server that
// is filled, and leaves it as it was.
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";

import pg from "pg";

import { openMailbox } from "../e2e/mailbox.mjs";
import { apiKey, CENTRAL_API, startCentre } from "../stack/centre.mjs";
import { freePort } from "../stack/process.mjs";

/** Milliseconds for a report at ten million sessions; seconds for 500 recipients. */
const BUDGET = { rendered: 2_000, sent: 30 };
const RECIPIENTS = 500;
/** What a report asks the API's functions for, as the endpoints that answer the same. */
const PARTS = ["compare", "sources?limit=5", "ltv-comparison?limit=5", "repeat-rate", "funnel", "general-stats", "time-series", "export-csv?type=sources", "export-csv?type=campaigns"];

const { values: args } = parseArgs({
  options: { out: { type: "string" }, sessions: { type: "string", default: "1000000" }, database: { type: "string" }, runs: { type: "string", default: "5" } },
});
const server = process.env.UD_BENCH_DATABASE_URL ?? process.env.UD_TEST_DATABASE_URL;
if (!server) throw new Error("UD_BENCH_DATABASE_URL names the Postgres server to measure on; ./dev bench sets it");
// The program refuses variables of this name that it does not know.
delete process.env.UD_BENCH_DATABASE_URL;
const name = args.database ?? `ud_bench_mails_${process.pid}`;
const database = new URL(server);
database.pathname = `/${name}`;

async function sql(text, url = server) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return client.query(text).finally(() => client.end());
}

const rows = [];
function row(name, unit, ours, budget, more = {}) {
  console.error(`  ${name.padEnd(64)} ${ours >= 100 ? Math.round(ours) : ours.toFixed(1)} ${unit}`);
  rows.push({ name, unit, ours, reference: null, ratio: null, budget, met: budget === null ? null : ours <= budget, ...more });
}
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

const folder = mkdtempSync(join(tmpdir(), "utm-mails-"));
const box = await openMailbox();
let centre, began;
try {
  const env = { DATABASE_URL: database.href, UD_SECRET: "the secret of a bench is at least thirty-two characters", RUST_LOG: "warn", ...box.environment, UD_SMTP_TIMEOUT_SECONDS: "60" };
  const command = (...words) => promisify(execFile)(CENTRAL_API, words, { env: { ...process.env, ...env }, maxBuffer: 1 << 26 });
  if (!args.database) {
    await sql(`create database ${name}`);
    await command("migrate");
    await command("create-site", "demo", "--domain", "shop.example");
    console.error(`  filling ${args.sessions} sessions …`);
    await command("demo-data", "--sessions", args.sessions);
    await sql("vacuum analyze", database.href);
  }
  // What is measured is nothing that others look at: no job changes it meanwhile.
  if (args.database) env.UD_RUN_JOBS = "false";
  began = (await sql("select now() as at", database.href)).rows[0].at.toISOString();
  const [{ count, key }] = (await sql("select count(*), (select site_key from sites order by site_id limit 1) as key from sessions", database.href)).rows;
  const size = Number(count) >= 1e6 ? `${Math.round(count / 1e6)} M` : count;

  for (const period of ["week", "month"]) {
    const times = [];
    for (let n = 0; n < Number(args.runs); n += 1) {
      const began = performance.now();
      await command("send-report", "--site", key, "--period", period, "--recipients", "a@x.example", "--attach-csv", "--out", join(folder, "report.eml"));
      times.push(performance.now() - began);
    }
    row(`${size} sessions: report of a ${period} with tables, whole process`, "ms", median(times), period === "week" ? BUDGET.rendered : null, { first: times[0], least: Math.min(...times), most: Math.max(...times) });
    console.error(`    first ${Math.round(times[0])}, then ${Math.round(Math.min(...times.slice(1)))} to ${Math.round(Math.max(...times.slice(1)))} ms`);
  }

  const token = apiKey(env, key, "read");
  centre = await startCentre({ env, port: await freePort(), log: join(folder, "central-api.log") });
  const ask = async (path) => {
    const began = performance.now();
    const answer = await fetch(`${centre.url}${path}`, { headers: { authorization: `Bearer ${token}` } });
    const body = await answer.text();
    if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${body.slice(0, 300)}`);
    return performance.now() - began;
  };
  const timed = async (path) => {
    const times = [];
    for (let n = 0; n < Number(args.runs); n += 1) times.push(await ask(path));
    return { first: times[0], least: Math.min(...times), median: median(times) };
  };
  const shown = await timed("/api/v1/report-preview?period=week");
  row(`${size} sessions: report of a week as the panel shows it`, "ms", shown.median, BUDGET.rendered, shown);
  for (const part of PARTS) {
    const took = await timed(`/api/utm/${part}${part.includes("?") ? "&" : "?"}period=week`);
    row(`${size} sessions: of that, ${part}`, "ms", took.median, null, took);
  }

  const people = Array.from({ length: RECIPIENTS }, (_, n) => `reader${n}@x.example`).join(",");
  const started = performance.now();
  const sending = spawn(CENTRAL_API, ["send-report", "--site", key, "--period", "week", "--recipients", people, "--attach-csv"], { env: { ...process.env, ...env }, stdio: ["ignore", "ignore", "inherit"] });
  let peak = 0;
  const watch = setInterval(() => {
    try {
      peak = Math.max(peak, Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${sending.pid}/status`, "utf8"))?.[1] ?? 0));
    } catch { /* it has ended, or this system has no such file */ }
  }, 20);
  const [status] = await new Promise((resolve) => sending.on("close", (...how) => resolve(how)));
  clearInterval(watch);
  const seconds = (performance.now() - started) / 1000;
  const each = new Set(box.mails.map((mail) => mail.recipient)).size;
  if (status !== 0 || each !== RECIPIENTS || box.mails.length !== RECIPIENTS) throw new Error(`${box.mails.length} mails to ${each} recipients, exit code ${status}`);
  const bytes = box.mails.reduce((sum, mail) => sum + mail.raw.length, 0) / box.mails.length;
  row(`${RECIPIENTS} mails of ${Math.round(bytes / 1024)} KiB to a server on this machine`, "s", seconds, BUDGET.sent, { connections: box.connections });
  if (peak > 0) row(`${RECIPIENTS} mails: peak of memory`, "MiB", peak / 1024, null);
} finally {
  await centre?.stop();
  await box.close();
  rmSync(folder, { recursive: true, force: true });
  // Deliveries go with their run.
  if (args.database && began) await sql(`delete from report_runs where kind = 'manual' and created_at >= '${began}'; delete from api_keys where name = 'read' and created_at >= '${began}'`, database.href);
  if (!args.database) await sql(`drop database if exists ${name} with (force)`);
}
if (args.out) writeFileSync(args.out, `${JSON.stringify({ results: rows }, null, 1)}\n`);
