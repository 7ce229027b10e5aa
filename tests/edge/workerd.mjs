// Starts the real Workers runtime with the built worker and nothing in between: requests reach it byte for byte.
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import os from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
/** The program itself; the package's launcher script would cost a process. */
export const workerdBinary = createRequire(import.meta.url)("workerd").default;
/** As in wrangler.toml. */
export const COMPATIBILITY_DATE = "2026-04-01";

/** The folder that `edge-worker/build.mjs` filled; tests never build, for they run side by side. `./dev` makes both before them. */
export function built(name = "build") {
  const folder = join(root, "edge-worker", name);
  if (!existsSync(join(folder, "index.js"))) {
    throw new Error(`edge-worker/${name} is missing: run node edge-worker/build.mjs${name === "build-trap" ? " --trap" : ""}`);
  }
  return folder;
}

export const workerFiles = ["index.js", "edge_worker_bg.wasm"];

/** A worker of ours as workerd's configuration wants it. `bindings` are texts; `queue` and `outbound` name services. */
export function ourWorker({ bindings, queue, outbound }) {
  const texts = Object.entries(bindings).map(([name, text]) => `(name = "${name}", text = ${JSON.stringify(text)})`);
  if (queue) texts.push(`(name = "EVENTS", queue = "${queue}")`);
  return `(
  modules = [ (name = "index.js", esModule = embed "index.js"), (name = "edge_worker_bg.wasm", wasm = embed "edge_worker_bg.wasm") ],
  compatibilityDate = "${COMPATIBILITY_DATE}", globalOutbound = "${outbound}", bindings = [ ${texts.join(", ")} ] )`;
}

/** A program outside that speaks HTTP on loopback. */
export const external = (name, port) => `(name = "${name}", external = (address = "127.0.0.1:${port}", http = ()))`;

/** Copies the built worker into a folder of its own, to stand beside a configuration. */
export function stage(build = "build") {
  const folder = mkdtempSync(join(os.tmpdir(), "utm-edge-"));
  for (const name of workerFiles) cpSync(join(built(build), name), join(folder, name));
  return folder;
}

/**
 * The built worker in front of an origin: `{ port, log(), stop() }`. `origin`, `broker` are ports; without a broker no queue is bound.
 * Everything that is not the queue goes to `origin`, the central API included: tell them apart by Host.
 */
export async function startWorker({ build = "build", bindings, origin, broker }) {
  const folder = stage(build);
  const [port] = await freePorts(1);
  writeFileSync(join(folder, "config.capnp"), `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "main", worker = .ours), ${external("origin", origin)}${broker ? `, ${external("broker", broker)}` : ""} ],
  sockets = [ (name = "http", address = "127.0.0.1:${port}", http = (cfBlobHeader = "cf-blob"), service = "main") ] );
const ours :Workerd.Worker = ${ourWorker({ bindings, queue: broker ? "broker" : null, outbound: "origin" })};
`);
  const child = spawn(workerdBinary, ["serve", "config.capnp"], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => { log += text; });
  try {
    await untilListening(port, child);
  } catch (error) {
    throw new Error(`${error.message}\n${log}`);
  }
  return { port, log: () => log, stop: () => stop(child).finally(() => rmSync(folder, { recursive: true, force: true })) };
}

/** workerd would wait for keep-alive connections: it is ended hard. */
export function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((done) => {
    child.once("exit", done);
    child.kill("SIGKILL");
  });
}

export async function untilListening(port, child) {
  for (const until = Date.now() + 15_000; Date.now() < until; ) {
    if (child.exitCode !== null) throw new Error(`workerd ended with code ${child.exitCode}`);
    const up = await new Promise((answer) => {
      const socket = net.connect(port, "127.0.0.1", () => { socket.destroy(); answer(true); }).on("error", () => answer(false));
    });
    if (up) return;
    await new Promise((done) => setTimeout(done, 20));
  }
  throw new Error(`nothing listens on port ${port}`);
}

/** Ports that were free a moment ago. */
export async function freePorts(count) {
  const servers = await Promise.all(Array.from({ length: count }, () => new Promise((up) => { const server = net.createServer().listen(0, "127.0.0.1", () => up(server)); })));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((down) => server.close(down))));
  return ports;
}
