// `./dev up`: the whole installation on this machine, with a shop behind it and people in it.
import { appendFileSync, existsSync, mkdirSync } from "node:fs";
import { join, relative } from "node:path";

import { drive } from "../visits/drive.mjs";
import { apiKey, centralApi, ingestKey, ROOT, startCentre, startPostgres } from "./centre.mjs";
import { freePort, livePid, start, stopAll, sweep, until, writePidFile } from "./process.mjs";
import { kept, newSecrets } from "./secrets.mjs";
import { fireCron, startWrangler, workerVars } from "./worker.mjs";

const SITE = "demo";
const ADMIN = "admin@example.com";
const CRON = "0 * * * *";
const began = Number(process.argv[2]) * 1000;
const options = process.argv.slice(3);
// Another folder than .dev/ gives another installation, with data and processes of its own.
const home = process.env.UD_DEV_HOME ?? join(ROOT, ".dev");
const data = join(home, "data");
const up = join(home, "up");
const pids = join(up, "pids");
const log = (name) => join(up, `${name}.log`);
const say = (text) => console.log(`${String(Math.round((Date.now() - began) / 1000)).padStart(4)} s  ${text}`);

for (const option of options) if (!["--exit", "--visits"].includes(option)) fail(`unknown option ${option}: --exit and --visits are there`);
mkdirSync(pids, { recursive: true });
const other = livePid(join(pids, "up.pid"));
if (other !== undefined) fail(`another ./dev up of this clone runs (process ${other}); stop it with Ctrl-C there`);
writePidFile(join(pids, "up.pid"), process.pid);
for (const name of await sweep(pids, ["worker", "shop", "central-api", "postgres"])) say(`ended ${name}, left over by a run that was killed`);

let stopping;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => stop(0));

try {
  await main();
} catch (error) {
  if (!stopping) {
    console.error(`\n${error.message}\n`);
    await stop(1);
  }
}

async function main() {
  const { values: state, save } = kept(join(up, "state.json"), () => ({ secrets: newSecrets() }));

  say("starting Postgres (.dev/data)");
  const postgres = await startPostgres({ data, log: log("postgres"), pidFile: join(pids, "postgres.pid") });
  // Without a DATABASE_URL each command finds that Postgres, and the installation's secret, in the data directory.
  const env = { UD_DATA_DIR: data };

  say("bringing the schema up to date");
  centralApi(env, "migrate");
  let password;
  if (!state.site) {
    say("making the first site, an admin and the keys");
    centralApi(env, "create-site", SITE, "--name", "Demo shop", "--domain", "127.0.0.1", "--domain", "localhost");
    state.site = SITE;
    password = createAdmin(env);
    // At once: nothing that fails from here on may take it away.
    say(`${ADMIN} may log in to the panel with the password ${password}`);
    state.ingestKey = ingestKey(env, SITE);
    state.shopKey = apiKey(env, SITE, "orders", "events");
    state.readKey = apiKey(env, SITE, "read");
    save();
  }

  say("starting central-api");
  const centre = await startCentre({ env, port: await freePort(8080), log: log("central-api"), pidFile: join(pids, "central-api.pid") });

  say("starting the demo shop");
  const shop = await start("shop", process.execPath, [join(ROOT, "tests/demo-shop/server.mjs")], {
    env: { SHOP_PORT: "0", CENTRE_URL: centre.url, CENTRE_KEY: state.shopKey }, log: log("shop"), pidFile: join(pids, "shop.pid"),
    ready: (output) => /listening on (http\S+)/.exec(output)?.[1],
  });

  say("starting the worker in front of it (wrangler dev, queue and cron emulated)");
  const worker = await startWrangler({
    port: await freePort(8787), upstream: new URL(shop.ready).host, folder: join(up, "worker"), pidFile: join(pids, "worker.pid"),
    vars: workerVars({ centre: centre.url, settings: { site: SITE, hosts: ["127.0.0.1", "localhost"], secure_cookies: false }, secrets: state.secrets, ingestKey: state.ingestKey }),
  });
  const asked = await fireCron(worker, CRON).then(() => true, (error) => { say(`the cron trigger failed: ${error.message}`); return false; });
  if (asked) setInterval(() => fireCron(worker, CRON).catch((error) => appendFileSync(log("cron"), `${new Date().toISOString()} ${error.message}\n`)), 3_600_000).unref();

  if (!state.visited || options.includes("--visits")) {
    await people({ centre, worker, key: state.readKey });
    state.visited = true;
    save();
  } else {
    say("the visits of the first start are still there (./dev up --visits drives them again)");
  }

  console.log(summary({ centre, worker, password }));
  if (options.includes("--exit")) return stop(0);
  const ended = await Promise.race([postgres, centre, shop, worker].map(async (one) => [one, await one.exited]));
  if (!stopping) throw new Error(`${ended[0].name} ended by itself (${ended[1]}); its log: ${ended[0].log}`);
}

/** Drives the visits and waits until the API's figures hold all of them. */
async function people({ centre, worker, key }) {
  const before = await figures(centre, key);
  say("driving 200 visits through the worker");
  const made = await drive({ base: worker.url });
  say(`${made.visits} visits made: ${made.sessions} sessions, ${made.machines} machines, ${made.refusals} that refused, ${made.orders} orders (${made.paid} paid, ${made.prepaid} prepaid, ${made.unpaid} unpaid, ${made.refunded} refunded)`);
  let seen;
  try {
    await until("the API's figures show every visit", async () => {
      seen = await figures(centre, key);
      return seen.sessions - before.sessions === made.sessions && seen.revenue - before.revenue === made.revenue;
    }, 60_000);
  } catch (error) {
    throw new Error(`${error.message}\nexpected ${made.sessions} more sessions and ${made.revenue / 100} more revenue, the API shows ${seen.sessions - before.sessions} and ${(seen.revenue - before.revenue) / 100}`);
  }
  say(`the API shows all of them: ${seen.sessions} sessions, revenue ${(seen.revenue / 100).toFixed(2)} UAH`);
}

async function figures(centre, key) {
  const ask = async (query) => {
    const response = await fetch(`${centre.url}/api/utm/general-stats?${query}`, { headers: { authorization: `Bearer ${key}` } });
    if (!response.ok) throw new Error(`general-stats answered ${response.status}: ${await response.text()}`);
    return response.json();
  };
  // By the order's own date, those count too whose buyers refused to be remembered.
  const [sessions, orders] = await Promise.all([ask("period=all_time"), ask("period=all_time&attribution_date=order")]);
  return { sessions: sessions.total_sessions, revenue: Math.round(orders.total_revenue * 100) };
}

function createAdmin(env) {
  const printed = centralApi(env, "create-admin", ADMIN);
  const password = /password.*?:\s*(\S+)\s*$/im.exec(printed)?.[1];
  if (!password) throw new Error(`create-admin printed no password:\n${printed}`);
  return password;
}

function summary({ centre, worker, password }) {
  const another = `UD_DATA_DIR=${relative(process.cwd(), data)} target/debug/central-api create-admin you@example.com`;
  return `
  Shop, through the worker   ${worker.url}/
  A tagged link to click     ${worker.url}/product/hoodie-zip?utm_source=instagram&utm_medium=paid_social&utm_campaign=my-first-click&fbclid=IwZXh0bgNhZW0BMAtry
  Panel                      ${centre.url}/
  Login                      ${ADMIN}, ${password ? `password ${password}  (shown this once, kept nowhere)` : `with the password that the first start showed; if it is lost: ${another}`}
  API reference              ${centre.url}/api/docs
  Logs                       .dev/up/*.log, .dev/up/worker/worker.log

  Click the tagged link, put something into the cart, place the order, then look at the panel: it is there within seconds.
  Ctrl-C stops everything; the data stays in .dev/data.
`;
}

async function stop(code) {
  if (stopping) return;
  stopping = true;
  say("stopping");
  await stopAll();
  process.exit(code);
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
