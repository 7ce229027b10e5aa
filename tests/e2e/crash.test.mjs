// kill -9 of the centre and of Postgres in the middle of 200 batches: what was acknowledged is there once, and the rest goes in when
// it is delivered again.
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { startPostgres } from "../stack/centre.mjs";
import { deliver, envelope, landing, next } from "./batch.mjs";
import { install, SITE } from "./installation.mjs";

const BATCHES = 200;
const CONNECTIONS = 4;

let it, postgres, data;
before(async () => {
  data = mkdtempSync(join(tmpdir(), "utm-e2e-postgres-"));
  // As root, Postgres runs under another user, who must get in.
  chmodSync(data, 0o755);
  postgres = await startPostgres({ data: join(data, "data"), log: join(data, "postgres.log") });
  it = await install({ server: postgres.url });
});
after(async () => {
  await it?.remove();
  await postgres?.stop();
  rmSync(data, { recursive: true, force: true });
});

function batches() {
  return Array.from({ length: BATCHES }, () => {
    const events = Array.from({ length: 10 }, () => {
      const first = landing();
      return [first, next(first, "product_view"), next(first, "add_to_cart")];
    }).flat();
    return { events, body: envelope(SITE, events), acknowledged: false };
  });
}

/** Delivers all batches over a few connections, once each; calls `halfway` in the middle. What fails stays unacknowledged. */
async function deliverAll(list, halfway) {
  const waiting = list.entries();
  let crash;
  await Promise.all(Array.from({ length: CONNECTIONS }, async () => {
    for (const [n, batch] of waiting) {
      if (n === BATCHES / 2) crash = halfway();
      try {
        const response = await deliver(it.centre.url, it.keys.ingest, batch.body);
        batch.acknowledged = response.status === 200;
        await response.arrayBuffer();
      } catch {
        // The connection was cut: not acknowledged.
      }
    }
  }));
  await crash;
}

async function checkStored(list, before) {
  const lost = list.filter((batch) => batch.acknowledged).flatMap((batch) => batch.events.map((event) => event.id));
  const found = new Set((await it.rows("select event_id from events where event_id = any($1)", lost)).map((row) => row.event_id));
  assert.deepEqual(lost.filter((id) => !found.has(id)), [], "every acknowledged event is stored");

  for (const batch of list) {
    for (let attempt = 0; !batch.acknowledged; attempt++) {
      const response = await deliver(it.centre.url, it.keys.ingest, batch.body);
      if (response.status === 200) batch.acknowledged = true;
      else assert.ok([429, 503].includes(response.status) && attempt < 50, `redelivery answered ${response.status}: ${await response.text()}`);
      if (!batch.acknowledged) await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
  const ids = list.flatMap((batch) => batch.events.map((event) => event.id));
  const stored = await it.rows("select event_id, count(*)::int as n from events where event_id = any($1) group by 1", ids);
  assert.equal(stored.length, ids.length, "the rest went in when it was delivered again");
  assert.ok(stored.every((row) => row.n === 1), "nothing is stored twice");
  const sessions = await it.rows("select event_count, page_views, points from sessions where session_id = any($1)", list.flatMap((batch) => batch.events.filter((event) => event.touch).map((event) => event.session.id)));
  assert.equal(sessions.length, BATCHES * 10);
  for (const session of sessions) assert.deepEqual(session, { event_count: 3, page_views: 1, points: 14 }, "sessions agree with their events");
  assert.equal(await it.count("events"), before + ids.length);
}

test("the centre killed in the middle of 200 batches loses and doubles nothing it acknowledged", async () => {
  const before = await it.count("events");
  const list = batches();
  await deliverAll(list, async () => {
    await it.centre.kill();
    await it.restartCentre();
  });
  assert.ok(list.some((batch) => !batch.acknowledged), "the crash came in the middle");
  assert.ok(list.some((batch) => batch.acknowledged));
  await checkStored(list, before);
});

test("Postgres killed in the middle of 200 batches loses and doubles nothing that was acknowledged", async () => {
  const before = await it.count("events");
  const list = batches();
  await deliverAll(list, async () => {
    const killed = postgres.postmaster();
    process.kill(killed, "SIGKILL");
    await it.eventually("central-api postgres starts it again", () => ![killed, null].includes(postgres.postmaster()));
  });
  assert.ok(list.some((batch) => batch.acknowledged));
  await it.eventually("the centre serves again", async () => (await fetch(`${it.centre.url}/readyz`)).status === 200);
  await checkStored(list, before);
});
