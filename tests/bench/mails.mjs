// Measures reports by e-mail: how long one takes to be put together, and 500 of them to be handed to an SMTP server on this machine.
// node tests/bench/mails.mjs [sessions]; needs UD_BENCH_DATABASE_URL (or UD_TEST_DATABASE_URL) and a built central-api (UD_DEV_CENTRAL_API).
import { execFile, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";

import pg from "pg";

import { openMailbox } from "../e2e/mailbox.mjs";
import { CENTRAL_API } from "../stack/centre.mjs";
import { newSecrets } from "../stack/secrets.mjs";

const SESSIONS = process.argv[2] ?? "100000";
const RECIPIENTS = 500;
const server = process.env.UD_BENCH_DATABASE_URL ?? process.env.UD_TEST_DATABASE_URL;
if (!server) throw new Error("UD_BENCH_DATABASE_URL is not set");

async function once(sql) {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  await client.query(sql).finally(() => client.end());
}

const name = `ud_bench_mails_${process.pid}`;
await once(`create database ${name}`);
const box = await openMailbox();
try {
  const database = new URL(server);
  database.pathname = `/${name}`;
  const { UD_BENCH_DATABASE_URL: _, ...rest } = process.env;
  const env = { ...rest, DATABASE_URL: database.href, UD_SECRET: newSecrets().installation, ...box.environment, UD_SMTP_TIMEOUT_SECONDS: "60" };
  const command = (...args) => promisify(execFile)(CENTRAL_API, args, { env });
  await command("create-site", "shop");
  await command("demo-data", "--sessions", SESSIONS);

  const rendered = [];
  for (let n = 0; n < 4; n++) {
    const began = performance.now();
    await command("send-report", "--period", "week", "--recipients", "a@x.example", "--attach-csv", "--out", `/tmp/${name}.eml`);
    rendered.push(Math.round(performance.now() - began));
  }
  console.log(`weekly report at ${SESSIONS} sessions, put together with CSV, whole process: ${rendered.join(", ")} ms`);

  const people = Array.from({ length: RECIPIENTS }, (_, n) => `reader${n}@x.example`).join(",");
  const began = performance.now();
  const sending = spawn(CENTRAL_API, ["send-report", "--period", "week", "--recipients", people, "--attach-csv"], { env, stdio: ["ignore", "ignore", "inherit"] });
  let peak = 0;
  const watch = setInterval(() => {
    try {
      peak = Math.max(peak, Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${sending.pid}/status`, "utf8"))?.[1] ?? 0));
    } catch { /* it has ended */ }
  }, 20);
  const [status] = await new Promise((resolve) => sending.on("close", (...how) => resolve(how)));
  clearInterval(watch);
  const seconds = (performance.now() - began) / 1000;
  const each = new Set(box.mails.map((mail) => mail.recipient)).size;
  const size = box.mails.reduce((sum, mail) => sum + mail.raw.length, 0) / box.mails.length;
  console.log(`${box.mails.length} mails to ${each} recipients in ${seconds.toFixed(1)} s (exit code ${status}), ${Math.round(size / 1024)} KiB each; peak memory ${Math.round(peak / 1024)} MiB; ${box.connections} connections`);
} finally {
  await box.close();
  await once(`drop database if exists ${name} with (force)`);
}
