// The worker in workerd: through `wrangler dev` as a developer runs it, or inside this process by Miniflare's API, with the bindings
// of wrangler.toml either way.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { ROOT } from "./centre.mjs";
import { start } from "./process.mjs";

/** The environment that the worker reads, from a local installation's secrets. */
export const workerVars = ({ centre, settings, secrets, ingestKey }) => ({
  UD_CENTRE_URL: centre,
  UD_SETTINGS: JSON.stringify(settings),
  UD_COOKIE_KEYS: secrets.cookieKeys,
  UD_HASH_KEY: secrets.hashKey,
  UD_INGEST_KEY: ingestKey,
});

/** `wrangler dev` on `port` in front of the shop at `upstream` (host:port). Queue and cron are emulated. */
export async function startWrangler({ port, upstream, vars, folder, pidFile }) {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, "worker.env");
  writeFileSync(file, Object.entries(vars).map(([name, value]) => `${name}='${value}'\n`).join(""), { mode: 0o600 });
  // Where the visitor would be; without it wrangler asks the internet.
  mkdirSync(join(ROOT, "node_modules/.mf"), { recursive: true });
  writeFileSync(join(ROOT, "node_modules/.mf/cf.json"), JSON.stringify({ country: "UA", region: "Kyiv City", regionCode: "30", city: "Kyiv", continent: "EU", timezone: "Europe/Kyiv", asn: 15895, asOrganization: "Kyivstar" }));
  const url = `http://127.0.0.1:${port}`;
  const worker = await start("worker", process.execPath, [
    join(ROOT, "node_modules/wrangler/bin/wrangler.js"), "dev", "--local", "--ip", "127.0.0.1", "--port", String(port), "--inspector-port", "0",
    "--local-upstream", upstream, "--upstream-protocol", "http", "--persist-to", join(folder, "state"), "--env-file", file, "--show-interactive-dev-session=false",
  ], {
    cwd: ROOT, log: join(folder, "worker.log"), pidFile, timeout: 120_000,
    env: { CI: "1", NO_COLOR: "1", WRANGLER_SEND_METRICS: "false", WRANGLER_LOG_PATH: join(folder, "wrangler-logs") },
    ready: (output) => /Ready on (http\S+)/.exec(output)?.[1],
  });
  return Object.assign(worker, { url });
}

/** Fires the cron trigger once, as the platform does every hour. */
export async function fireCron(worker, cron) {
  const response = await fetch(`${worker.url}/cdn-cgi/handler/scheduled?cron=${encodeURIComponent(cron)}`);
  if (!response.ok) throw new Error(`the cron trigger answered ${response.status}: ${await response.text()}`);
}
