// `./dev up` itself: the first start fills an installation and shows the password, the second keeps the data, and nothing stays running.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { ROOT } from "../stack/centre.mjs";

let home;
before(() => {
  home = mkdtempSync(join(tmpdir(), "utm-e2e-up-"));
  // As root, Postgres runs under another user, who must get in.
  chmodSync(home, 0o755);
});
after(() => rmSync(home, { recursive: true, force: true }));

function up() {
  const done = spawnSync(process.execPath, [join(ROOT, "tests/stack/up.mjs"), String(Math.trunc(Date.now() / 1000)), "--exit"], { cwd: ROOT, encoding: "utf8", env: { ...process.env, UD_DEV_HOME: home } });
  assert.equal(done.status, 0, done.stdout + done.stderr);
  return done.stdout;
}

const sessions = (output) => Number(/the API shows all of them: (\d+) sessions/.exec(output)?.[1]);

function nothingRuns() {
  assert.deepEqual(readdirSync(join(home, "up/pids")).filter((name) => name !== "up.pid"), [], "no process is left");
  assert.throws(() => process.kill(Number(readFileSync(join(home, "data/postgres/postmaster.pid"), "utf8").split("\n")[0]), 0), "Postgres is stopped");
}

test("the first start drives the visits, shows them and the password, and leaves nothing running", () => {
  const output = up();
  assert.ok(sessions(output) > 150, output);
  assert.match(output, /password [a-z0-9-]{20,}/);
  assert.match(output, /A tagged link to click +http/);
  nothingRuns();
});

test("the second start keeps the data and does not know the password", () => {
  const output = up();
  assert.match(output, /the visits of the first start are still there/);
  assert.doesNotMatch(output, /password [a-z0-9-]{20,}/);
  assert.match(output, /with the password that the first start showed/);
  nothingRuns();
});
