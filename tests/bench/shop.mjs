// A demo shop in a database of its own, and the release program serving it: what the benchmarks of reports by HTTP share.
import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";

const root = fileURLToPath(new URL("../../", import.meta.url));
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const percentile = (sorted, share) => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];

const freePort = async () => {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  listener.close();
  return port;
};

// Options: --out FILE, --requests N, --database URL (one that is filled; it stays), --program FILE, and those of `defaults`.
// `run` gets a bench: program(…words), psql(text), url, serve(), call(path, init), measure(name, path, budget), row(name, unit, ours, budget).
export async function bench(name, defaults, run) {
  const options = { out: { type: "string" }, requests: { type: "string", default: "20" }, database: { type: "string" }, program: { type: "string", default: "target/release/central-api" } };
  for (const [key, value] of Object.entries(defaults)) options[key] = { type: "string", default: value };
  const { values: args } = parseArgs({ options });
  const server = process.env.UD_BENCH_DATABASE_URL;
  if (!server) throw new Error("UD_BENCH_DATABASE_URL names the Postgres server to measure on; ./dev bench sets it");
  const database = `ud_bench_${name}_${process.pid}`;
  const url = new URL(args.database ?? server);
  if (!args.database) url.pathname = `/${database}`;
  const port = await freePort();
  const env = { PATH: process.env.PATH, DATABASE_URL: url.href, UD_SECRET: "the secret of a bench is at least thirty-two characters", UD_LISTEN: `127.0.0.1:${port}`, RUST_LOG: "warn" };
  const on = (where) => (text) => execFileSync("psql", [where, "-qAtc", text], { encoding: "utf8" }).trim();
  const rows = [];
  let child;
  let token;
  const it = {
    args,
    program: (...words) => promisify(execFile)(args.program, words, { cwd: root, env, maxBuffer: 1 << 26 }),
    psql: on(url.href),
    // Fills the database, unless it is a given one.
    async fill(sessions, orders) {
      if (args.database) return;
      on(server)(`create database ${database}`);
      await it.program("migrate");
      await it.program("create-site", "demo", "--domain", "shop.example");
      console.error(`  filling ${sessions} sessions …`);
      await it.program("demo-data", "--sessions", String(sessions), ...(orders ? ["--orders", String(orders)] : []));
      it.psql("vacuum analyze");
    },
    // Starts the program and waits until it answers.
    async serve(scopes) {
      const made = await it.program("create-key", "--kind", "api", "--scopes", scopes);
      token = /^TOKEN=(.+)$/m.exec(made.stdout)?.[1];
      if (!token) throw new Error(`no token in: ${made.stdout}`);
      child = spawn(args.program, ["serve"], { cwd: root, env, stdio: ["ignore", "ignore", "inherit"] });
      for (let tries = 0; ; tries += 1) {
        try {
          await fetch(`http://127.0.0.1:${port}/readyz`);
          return;
        } catch (error) {
          if (tries > 100) throw error;
          await pause(100);
        }
      }
    },
    async call(path, init = {}) {
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, { ...init, headers });
      const body = await answer.text();
      if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${body.slice(0, 300)}`);
      return JSON.parse(body);
    },
    row(name, unit, ours, budget, more = {}) {
      const met = budget === null ? null : ours <= budget;
      console.error(`  ${name.padEnd(58)} ${ours.toFixed(1).padStart(8)} ${unit}${met === null ? "" : met ? "  met" : `  NOT MET (${budget})`}`);
      rows.push({ name, unit, ours, reference: null, ratio: null, budget, met, ...more });
    },
    // Warm requests one after another: the 95th percentile against the budget.
    async measure(name, path, budget) {
      for (let n = 0; n < 3; n += 1) await it.call(path);
      const times = [];
      for (let n = 0; n < Number(args.requests); n += 1) {
        const started = performance.now();
        await it.call(path);
        times.push(performance.now() - started);
      }
      times.sort((a, b) => a - b);
      it.row(`${name}, p95`, "ms", percentile(times, 0.95), budget, { p50: percentile(times, 0.5), min: times[0] });
    },
  };
  try {
    await run(it);
  } finally {
    if (child) {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
    }
    if (!args.database) on(server)(`drop database if exists ${database} with (force)`);
  }
  if (args.out) writeFileSync(args.out, `${JSON.stringify({ results: rows }, null, 1)}\n`);
}
