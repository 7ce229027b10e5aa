// One whole installation for a test: a database of its own on the server of UD_TEST_DATABASE_URL, central-api, the demo shop and the
// worker in workerd with the bindings of wrangler.toml. What the visitor types is http://shop.example/.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Log, LogLevel, Miniflare } from "miniflare";
import pg from "pg";
import { unstable_getMiniflareWorkerOptions as workerOptionsOf } from "wrangler";

import { startShop } from "../demo-shop/server.mjs";
import { apiKey, centralApi, ingestKey, ROOT, startCentre } from "../stack/centre.mjs";
import { freePort, until } from "../stack/process.mjs";
import { newSecrets } from "../stack/secrets.mjs";
import { workerVars } from "../stack/worker.mjs";
import { browser } from "../visits/browser.mjs";

export const SITE = "e2e";
export const HOST = "shop.example";
export const CRON = "0 * * * *";

/**
 * Starts everything. `settings` are the worker's, as deployed; `settingsSeconds` is how often it looks for the panel's; `queue: false` leaves the queue unbound, `"down"` binds one that takes nothing;
 * `environment` is added to the centre's; `server` is the Postgres to use (default: the test run's). `origin` of what it answers, when set, stands in for the demo shop.
 */
export async function install({ settings = {}, settingsSeconds, queue = true, environment = {}, server = process.env.UD_TEST_DATABASE_URL } = {}) {
  if (!server) throw new Error("UD_TEST_DATABASE_URL is not set: run this through ./dev e2e");
  const folder = mkdtempSync(join(tmpdir(), "utm-e2e-"));
  const secrets = newSecrets();
  const name = `ud_e2e_${process.pid}_${Math.random().toString(36).slice(2, 8)}`;
  await once(server, `create database ${name}`);
  const database = new URL(server);
  database.pathname = `/${name}`;

  const env = { DATABASE_URL: database.href, UD_SECRET: secrets.installation, UD_LOG: "debug", ...environment };
  centralApi(env, "migrate");
  centralApi(env, "create-site", SITE, "--name", "Test shop", "--domain", HOST);
  const keys = { ingest: ingestKey(env, SITE), shop: apiKey(env, SITE, "orders", "events"), read: apiKey(env, SITE, "read") };

  const port = await freePort();
  let starts = 0;
  const launch = () => startCentre({ env, port, log: join(folder, `central-api-${++starts}.log`) });
  const it = { env, keys, secrets, folder, database: database.href, seenByShop: [], origin: undefined };
  it.centre = await launch();
  it.restartCentre = async () => (it.centre = await launch());
  it.shop = await startShop({ centre: it.centre.url, key: keys.shop, seen: (request) => it.seenByShop.push(request) });
  it.db = new pg.Pool({ connectionString: database.href, max: 4 });
  // A server that is killed on purpose cuts idle connections; queries fail on their own.
  it.db.on("error", () => {});

  const { workerOptions } = workerOptionsOf(join(ROOT, "wrangler.toml"));
  const bindings = { ...workerOptions.bindings, ...workerVars({ centre: it.centre.url, settings: { site: SITE, hosts: [HOST], ...settings }, secrets, ingestKey: keys.ingest }), ...(settingsSeconds && { UD_SETTINGS_SECONDS: String(settingsSeconds) }) };
  it.mf = new Miniflare({
    ...workerOptions,
    rootPath: ROOT,
    modulesRoot: join(ROOT, "edge-worker/build"),
    modules: [
      { type: "ESModule", path: join(ROOT, "edge-worker/build/index.js") },
      { type: "CompiledWasm", path: join(ROOT, "edge-worker/build/edge_worker_bg.wasm") },
    ],
    bindings,
    queueProducers: queue === true ? workerOptions.queueProducers : undefined,
    queueConsumers: queue === true ? quick(workerOptions.queueConsumers) : undefined,
    // A service under the queue's name: each send() fails.
    serviceBindings: queue === "down" ? { EVENTS: () => new Response(null, { status: 500 }) } : undefined,
    cf: false,
    log: new Log(LogLevel.WARN),
    outboundService: (request) => outbound(it, request),
  });
  it.base = (await it.mf.ready).origin;

  it.browser = (options = {}) => browser({ base: it.base, ...options, headers: { host: HOST, ...options.headers } });
  it.rows = async (sql, ...values) => (await it.db.query(sql, values)).rows;
  it.count = async (table) => Number((await it.rows(`select count(*) as n from ${table}`))[0].n);
  it.eventually = (what, probe, timeout = 30_000) => until(what, probe, timeout);
  it.api = async (path) => {
    const response = await fetch(`${it.centre.url}${path}`, { headers: { authorization: `Bearer ${keys.read}` } });
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
    return response.json();
  };
  it.cron = async () => (await it.mf.getWorker()).scheduled({ cron: CRON, scheduledTime: new Date() });
  it.remove = async () => {
    await it.mf.dispose();
    await it.shop.close();
    await it.centre.stop();
    await it.db.end();
    await once(server, `drop database if exists ${name} with (force)`).catch(() => {});
    rmSync(folder, { recursive: true, force: true });
  };
  return it;
}

/** As deployed, but a batch does not wait for company and a retry not for minutes. */
const quick = (consumers) => Object.fromEntries(Object.entries(consumers).map(([queue, options]) => [queue, { ...options, maxBatchTimeout: 0.2 }]));

/** Where the worker's own requests go: the centre, or else the shop. */
async function outbound(it, request) {
  const url = new URL(request.url);
  if (url.origin === it.centre.url) return fetch(request.url, { method: request.method, headers: request.headers, body: request.body && await request.arrayBuffer() });
  if (it.origin) return it.origin(request);
  const headers = new Headers(request.headers);
  headers.delete("host");
  return fetch(`http://127.0.0.1:${it.shop.port}${url.pathname}${url.search}`, {
    method: request.method, headers, redirect: "manual", body: ["GET", "HEAD"].includes(request.method) ? undefined : await request.arrayBuffer(),
  });
}

async function once(server, sql) {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  await client.query(sql).finally(() => client.end());
}
