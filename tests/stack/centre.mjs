// The centre as a process: its command line and its server.
import { join } from "node:path";

import { answers, run, start } from "./process.mjs";

export const ROOT = new URL("../../", import.meta.url).pathname;
const BINARY = process.env.UD_DEV_CENTRAL_API ?? join(ROOT, "target/debug/central-api");

/** Runs a command of central-api with this environment and answers what it printed. */
export const centralApi = (env, ...args) => run(BINARY, args, { env });

/** Starts `central-api serve` on `port` and waits until it is ready. */
export async function startCentre({ env, port, log, pidFile }) {
  const url = `http://127.0.0.1:${port}`;
  const process = await start("central-api", BINARY, ["serve"], { env: { ...env, UD_LISTEN: `127.0.0.1:${port}` }, log, pidFile, ready: answers(`${url}/readyz`) });
  return Object.assign(process, { url });
}
