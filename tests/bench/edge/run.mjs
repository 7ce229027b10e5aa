// How much of a bare JavaScript pass-through worker's speed is left: the same workerd process, the same loopback origin, interleaved
// rounds, medians. Figures are ratios; absolute ones move with the machine. Where a process's code and memory happen to lie moves even the
// ratios by a twentieth, so the rounds are spread over several processes.
//
//   node tests/bench/edge/run.mjs [--rounds 9] [--starts 3] [--seconds 3] [--only captured,asset,collect,first] [--out file.json]
import { execFileSync, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import os from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { COMPATIBILITY_DATE, built as builtFolder, external, freePorts, ourWorker, stage, stop, untilListening, workerdBinary } from "../../edge/workerd.mjs";
import { ASSET, COLLECT, NAVIGATION } from "./requests.mjs";
import { SECRETS, SETTINGS } from "./settings.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..", "..");
const built = builtFolder();
const option = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : process.argv[at + 1];
};
const rounds = Number(option("rounds", 9));
const starts = Math.min(rounds, Number(option("starts", 3)));
const seconds = Number(option("seconds", 3));
const only = option("only", "captured,returning,asset,collect,first").split(",");
const WARM_UP_REQUESTS = 12_000;
const outFile = option("out", join(root, "target", "bench", "edge.json"));

const wrk = needWrk();
const pin = (core) => (os.cpus().length > 1 && existsSync("/usr/bin/taskset") ? ["taskset", "-c", String(core)] : []);

const folder = stage();
const children = [];
try {
  const { origin, broker } = await start([...pin(1), process.execPath, join(here, "origin.mjs")], (line) => JSON.parse(line));
  cpSync(join(here, "passthrough.js"), join(folder, "passthrough.js"));
  const ports = await freePorts(3);
  writeFileSync(join(folder, "config.capnp"), config(ports, origin, broker));
  const server = () => start([...pin(0), workerdBinary, "serve", "config.capnp"], null, { cwd: folder, port: ports[0] });

  const lines = [];
  if (only.includes("first")) lines.push(await firstRequest(server, ports));
  let running = await server();
  const [ours, reference, proxy] = ports.map((port) => `http://127.0.0.1:${port}`);
  const kinds = {
    captured: { name: "edge: captured landing, new visitor", path: "/product/42?utm_source=google&utm_medium=cpc&utm_campaign=autumn&gclid=EAIaIQobChMI4aXn5_abcDEF0123456789", headers: NAVIGATION, budget: 0.72 },
    asset: { name: "edge: uncaptured asset", path: "/static/site.css", headers: ASSET, budget: 0.95 },
    collect: { name: "edge: collect endpoint (reference: the same POST to the origin)", path: "/_ud/e", headers: COLLECT, body: readFileSync(join(here, "collect.json"), "utf8").trim(), budget: null },
  };
  if (only.includes("returning")) {
    kinds.returning = { ...kinds.captured, name: "edge: captured page of a returning visitor", path: "/cart", headers: { ...NAVIGATION, ...(await cookiesOf(ours, kinds.captured)) } };
  }
  for (const [key, kind] of Object.entries(kinds)) {
    if (!only.includes(key)) continue;
    const targets = [["ours", ours], ["reference", reference]];
    if (key === "captured") targets.push(["proxy", proxy]);
    const rates = Object.fromEntries(targets.map(([who]) => [who, []]));
    const costs = Object.fromEntries(targets.map(([who]) => [who, []]));
    for (let round = 0; round < rounds; round++) {
      if (Math.floor((round * starts) / rounds) !== Math.floor(((round - 1) * starts) / rounds)) {
        await stop(running);
        running = await server();
        // The runtime compiles what is called often once more, better; only then is the cost seen that lasts.
        for (const [, base] of targets) {
          for (let requests = 0; requests < WARM_UP_REQUESTS; ) requests += load(base, kind, 1).requests;
        }
      }
      for (const [who, base] of round % 2 ? targets.toReversed() : targets) {
        const before = cpuMicroseconds(running.pid);
        const { requests, rate } = load(base, kind);
        rates[who].push(rate);
        costs[who].push((cpuMicroseconds(running.pid) - before) / requests);
        process.stderr.write(".");
      }
    }
    lines.push({
      name: kind.name, unit: "requests/s", ours: median(rates.ours), reference: median(rates.reference),
      // Ratio of each round, then the median: neighbours of this machine slow both halves of a round alike.
      ratio: median(rates.ours.map((rate, i) => rate / rates.reference[i])), budget: kind.budget,
      ...(rates.proxy ? { plain_proxy: median(rates.proxy) } : {}),
      // What workerd's process used per request: the same comparison, deaf to neighbours.
      cpu_us: Object.fromEntries(Object.entries(costs).map(([who, values]) => [who, round(median(values))])),
      cpu_ratio: median(costs.reference.map((cost, i) => cost / costs.ours[i])), rounds: rates,
    });
  }
  const stats = await (await fetch(`http://127.0.0.1:${broker}/stats`)).json();
  const health = await (await fetch(`${ours}/_ud/health`)).json().catch(() => null);
  const results = lines.map((line) => ({ ...line, met: line.budget === null ? null : line.unit === "ms" ? line.ours <= line.budget : line.ratio >= line.budget }));
  mkdirSync(dirname(outFile), { recursive: true });
  writeFileSync(outFile, `${JSON.stringify({ results, queue: stats, health, sizes: sizes() }, null, 1)}\n`);
  process.stderr.write("\n");
  for (const { name, ours: o, reference: r, ratio, budget, met, unit, cpu_ms, cpu_us, cpu_ratio } of results) {
    console.log([name, `${round(o)} ${unit}`, r === null ? "-" : `${round(r)} ${unit}`, ratio === null ? "-" : ratio.toFixed(3), budget ?? "-", met === null ? "-" : met ? "met" : "NOT MET", ...(cpu_ms ? [`CPU ${cpu_ms.ours} / ${cpu_ms.reference} ms`] : []), ...(cpu_us ? [`CPU ${cpu_us.ours} / ${cpu_us.reference} us = ${cpu_ratio.toFixed(3)}`] : [])].join(" | "));
  }
  console.log(`queue: ${stats.events} events in ${stats.messages} messages; health of the last process: ${JSON.stringify(health?.counters)}; ${JSON.stringify(sizes())}`);
} finally {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
}

/** Time of the first request of a fresh process, once its port answers; the reference beside it. */
async function firstRequest(server, ports) {
  const times = { ours: [], reference: [] };
  const costs = { ours: [], reference: [] };
  for (let i = 0; i < 9; i++) {
    for (const [who, port] of [["ours", ports[0]], ["reference", ports[1]]]) {
      const child = await server();
      const before = cpuMicroseconds(child.pid);
      times[who].push(await timed(port));
      costs[who].push((cpuMicroseconds(child.pid) - before) / 1_000);
      await stop(child);
    }
  }
  return { name: "edge: first request of an isolate", unit: "ms", ours: median(times.ours), reference: median(times.reference), ratio: null, budget: 15, cpu_ms: { ours: round(median(costs.ours)), reference: round(median(costs.reference)) }, rounds: times };
}

async function timed(port) {
  const socket = net.connect(port, "127.0.0.1").setNoDelay(true);
  await new Promise((up) => socket.once("connect", up));
  const head = Object.entries({ Host: "shop.example", ...NAVIGATION }).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const began = performance.now();
  socket.write(`GET /?utm_source=google&gclid=first HTTP/1.1\r\n${head}\r\n`);
  await new Promise((got, failed) => socket.once("data", got).once("error", failed));
  const took = performance.now() - began;
  socket.destroy();
  return took;
}

function load(base, { path, headers, body }, duration = seconds) {
  const script = join(folder, "load.lua");
  const quoted = (text) => `[==[${text}]==]`;
  writeFileSync(script, [
    `wrk.method = ${quoted(body ? "POST" : "GET")}`,
    ...Object.entries({ Host: "shop.example", ...headers }).map(([name, value]) => `wrk.headers[ ${quoted(name)} ] = ${quoted(value)}`),
    ...(body ? [`wrk.body = ${quoted(body)}`] : []),
    // Beacons come from many addresses: one alone would meet its limit.
    ...(body ? ['local n = 0', 'request = function() n = n + 1; wrk.headers["CF-Connecting-IP"] = "10.1." .. (math.floor(n / 200) % 200) .. "." .. (n % 200); return wrk.format() end'] : []),
    `done = function(s) io.write(string.format("RESULT %d %d %d\\n", s.requests, s.duration, s.errors.status + s.errors.read + s.errors.connect)) end`,
  ].join("\n"));
  const out = execFileSync(pin(1)[0] ?? wrk, [...(pin(1).length ? [...pin(1).slice(1), wrk] : []), "-t1", "-c16", `-d${duration}s`, "-s", script, base + path]).toString();
  const [, requests, microseconds, errors] = /RESULT (\d+) (\d+) (\d+)/.exec(out).map(Number);
  if (errors > 0) throw new Error(`${errors} of ${requests} requests to ${base + path} failed`);
  return { requests, rate: requests / (microseconds / 1e6) };
}

/** Processor time that the process's threads have used, in microseconds. */
function cpuMicroseconds(pid) {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, task) => sum + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]) / 1_000, 0);
}

async function cookiesOf(base, { path, headers }) {
  const answer = await fetch(base + path, { headers });
  const cookies = answer.headers.getSetCookie().map((cookie) => cookie.split(";")[0]);
  return { Cookie: cookies.join("; ") };
}

function start(command, ready, { cwd, port } = {}) {
  const child = spawn(command[0], command.slice(1), { cwd, stdio: ["ignore", ready ? "pipe" : "inherit", "inherit"] });
  children.push(child);
  if (ready) return new Promise((up) => child.stdout.once("data", (data) => up(ready(data.toString()))));
  return untilListening(port, child).then(() => child);
}

function needWrk() {
  const found = () => { try { return execFileSync("sh", ["-c", "command -v wrk"]).toString().trim(); } catch { return null; } };
  if (!found()) execFileSync("apt-get", ["install", "-y", "-q", "wrk"], { stdio: "inherit" });
  return found() ?? (() => { throw new Error("wrk is needed to make load: install the package wrk"); })();
}

function config([ours, reference, proxy], origin, broker) {
  const bindings = { UD_SETTINGS: JSON.stringify(SETTINGS), UD_CENTRE_URL: "http://centre.invalid", ...SECRETS };
  const socket = (name, port, service) => `(name = "${name}", address = "127.0.0.1:${port}", http = (cfBlobHeader = "cf-blob"), service = "${service}")`;
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "main", worker = .ours), (name = "js", worker = .reference), ${external("broker", broker)}, ${external("origin", origin)} ],
  sockets = [ ${socket("main", ours, "main")}, ${socket("js", reference, "js")}, ${socket("proxy", proxy, "origin")} ] );
const ours :Workerd.Worker = ${ourWorker({ bindings, queue: "broker", outbound: "origin" })};
const reference :Workerd.Worker = (
  modules = [ (name = "index.js", esModule = embed "passthrough.js") ], compatibilityDate = "${COMPATIBILITY_DATE}", globalOutbound = "origin" );
`;
}

function sizes() {
  return Object.fromEntries([["wasm_gzip_bytes", "edge_worker_bg.wasm"], ["script_gzip_bytes", "script.txt"]]
    .map(([name, file]) => [name, gzipSync(readFileSync(join(built, file)), { level: 9 }).length]));
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function round(value) {
  return value >= 100 ? Math.round(value) : Number(value.toFixed(2));
}
