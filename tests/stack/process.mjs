// Processes that a stack is made of: each in a group of its own, its output in a file, ready when a probe says so, and ended by
// the id it was started with, never by a name.
import { execFileSync, spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";

/** How long a probe waits between two looks, in milliseconds. */
const LOOK_EVERY = 50;

/** Everything started by this process that still runs; ended with it. */
const running = new Set();

/**
 * Starts `command` and resolves once `ready` does, with `{ pid, log, output(), stop(), kill(), exited }`.
 *
 * `ready(output)` gets what the process has written so far and is asked again until it returns something other than `undefined`,
 * `null` or `false`; that value is `started.ready`. Fails with the end of the log when the process ends first or `timeout`
 * milliseconds pass.
 */
export async function start(name, command, args, { cwd, env, log, ready = () => true, timeout = 30_000, pidFile } = {}) {
  mkdirSync(dirname(log), { recursive: true });
  const file = openSync(log, "w");
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", file, file], detached: true });
  closeSync(file);
  const exited = new Promise((resolve) => {
    child.once("exit", (code, signal) => resolve(signal ?? code));
    child.once("error", (error) => resolve(error.message));
  });
  const started = {
    name,
    pid: child.pid,
    log,
    exited,
    alive: true,
    output: () => readFileSync(log, "utf8"),
    /** Asks it to end, insists after `patience` milliseconds, resolves when it is gone. */
    async stop(patience = 10_000) {
      signalGroup(child.pid, "SIGTERM");
      const insist = setTimeout(() => signalGroup(child.pid, "SIGKILL"), patience);
      await exited;
      clearTimeout(insist);
    },
    /** Ends the whole group at once, as a power cut would. */
    async kill() {
      signalGroup(child.pid, "SIGKILL");
      await exited;
    },
  };
  exited.then(() => {
    started.alive = false;
    running.delete(started);
    if (pidFile) rmSync(pidFile, { force: true });
  });
  if (child.pid === undefined) throw new Error(`${name} could not be started: ${await exited}`);
  running.add(started);
  if (pidFile) writePidFile(pidFile, child.pid);
  try {
    started.ready = await until(`${name} is ready`, () => {
      if (!started.alive) throw new Error(`${name} ended before it was ready`);
      return ready(started.output());
    }, timeout);
  } catch (error) {
    await started.kill();
    throw new Error(`${error.message}\n${tail(started.output())}\nThe whole log: ${log}`);
  }
  return started;
}

/** Runs a command to its end and answers what it wrote to standard output; fails with what it wrote to both. */
export function run(command, args, { cwd, env, input } = {}) {
  try {
    return execFileSync(command, args, { cwd, env: { ...process.env, ...env }, input, encoding: "utf8", stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"] });
  } catch (error) {
    if (error.stderr === undefined) throw error;
    throw new Error(`${command} ${args.join(" ")} failed (${error.status ?? error.signal ?? error.code})\n${error.stderr}${error.stdout}`);
  }
}

/** Asks `probe` until it answers something other than `undefined`, `null` or `false`. What the probe throws is thrown. */
export async function until(what, probe, timeout = 30_000) {
  const end = Date.now() + timeout;
  for (;;) {
    const answer = await probe();
    if (answer !== undefined && answer !== null && answer !== false) return answer;
    if (Date.now() > end) throw new Error(`waited ${timeout / 1000} s in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
  }
}

/** `probe` for a URL: the answer once it is below 500, otherwise asked again. */
export const answers = (url) => async () => {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    return response.status < 500 ? response : undefined;
  } catch {
    return undefined;
  }
};

/** `wanted` when nothing listens there, otherwise a port that the system gives. */
export function freePort(wanted = 0) {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", () => (wanted === 0 ? reject(new Error("no free port")) : resolve(freePort(0))));
    server.listen(wanted, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Last lines of a text. */
export const tail = (text, lines = 30) => text.trimEnd().split("\n").slice(-lines).join("\n");

/** Ends everything this process started, the last first. */
export async function stopAll() {
  for (const one of [...running].reverse()) await one.stop();
}

/** Notes a process so that a later run can tell whether it is still the same one: its id and when it was started. */
export function writePidFile(file, pid) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${pid}\n${startOf(pid) ?? ""}\n`);
}

/** The id in a pid file when that very process (not a later one with the same id) still runs. */
export function livePid(file) {
  if (!existsSync(file)) return undefined;
  const [pid, started] = readFileSync(file, "utf8").split("\n");
  return started && startOf(Number(pid)) === started ? Number(pid) : undefined;
}

/** Ends what an earlier run noted in `folder` and could not end itself because it was killed. Answers the names. */
export async function sweep(folder, names) {
  const swept = [];
  for (const name of names) {
    const file = join(folder, `${name}.pid`);
    const pid = livePid(file);
    if (pid !== undefined) {
      signalGroup(pid, "SIGTERM");
      await until(`${name} of an earlier run ends`, () => livePid(file) === undefined, 15_000);
      swept.push(name);
    }
    rmSync(file, { force: true });
  }
  return swept;
}

/** When a process was started, as the system writes it; undefined when there is none. */
function startOf(pid) {
  try {
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8", env: { ...process.env, LC_ALL: "C" }, stdio: ["ignore", "pipe", "ignore"] }).trim() || undefined;
  } catch {
    return undefined;
  }
}

function signalGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

// Whatever way this process ends, nothing it started stays behind.
process.on("exit", () => {
  for (const one of running) signalGroup(one.pid, "SIGKILL");
});
