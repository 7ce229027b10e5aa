// The centre as a process: its command line, its server and its own Postgres.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { answers, run, start } from "./process.mjs";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** The program. */
export const CENTRAL_API = process.env.UD_DEV_CENTRAL_API ?? join(ROOT, "target/debug/central-api");

/** Runs a command of central-api with this environment and answers what it printed. */
export const centralApi = (env, ...args) => run(CENTRAL_API, args, { env });

/** Makes an API key with these scopes and answers its token. */
export const apiKey = (env, site, ...scopes) => printed(centralApi(env, "create-key", "--kind", "api", "--site", site, "--scopes", scopes.join(","), "--name", scopes.join(" and ")), "TOKEN");

/** Makes a worker's signing key and answers it as the worker reads it, `key_id:secret`. */
export function ingestKey(env, site) {
  const text = centralApi(env, "create-key", "--kind", "ingest", "--site", site, "--name", "worker");
  return `${printed(text, "KEY_ID")}:${printed(text, "SECRET")}`;
}

/** The value of a line `NAME=value`. */
function printed(text, name) {
  const value = new RegExp(`^${name}=(.+)$`, "m").exec(text)?.[1];
  if (!value) throw new Error(`central-api printed no ${name}:\n${text}`);
  return value;
}

/** Starts `central-api serve` on `port` and waits until it is ready. */
export async function startCentre({ env, port, log, pidFile }) {
  const url = `http://127.0.0.1:${port}`;
  const process = await start("central-api", CENTRAL_API, ["serve"], { env: { UD_PRIVATE_SHOPS: "true", ...env, UD_LISTEN: `127.0.0.1:${port}` }, log, pidFile, ready: answers(`${url}/readyz`) });
  return Object.assign(process, { url });
}

/** The process id in Postgres' own file; null while there is none, as between a server's death and the next one's start. */
function postmasterOf(data) {
  try {
    return Number(readFileSync(join(data, "postgres/postmaster.pid"), "utf8").split("\n")[0]) || null;
  } catch (error) {
    if (error.code === "ENOENT") return null;
    throw error;
  }
}

/** Starts `central-api postgres` on a data directory: `url`, and `postmaster()`, the id of the server's process or null. */
export async function startPostgres({ data, log, pidFile }) {
  const process = await start("postgres", CENTRAL_API, ["postgres", "--data-dir", data], { log, pidFile, timeout: 60_000, ready: (output) => /^DATABASE_URL=(.+)$/m.exec(output)?.[1] });
  return Object.assign(process, { url: process.ready, postmaster: () => postmasterOf(data) });
}
