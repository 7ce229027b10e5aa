// Delivering twice, in parallel or across a crash changes nothing and loses nothing.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { deliver, envelope, landing, next } from "./batch.mjs";
import { install, SITE } from "./installation.mjs";

let it;
before(async () => { it = await install(); });
after(() => it?.remove());

/** Everything that a delivery could change, as text. */
async function state() {
  const rows = async (sql) => (await it.rows(sql)).map(({ row }) => row);
  const { period, ...stats } = await it.api("/api/utm/general-stats?period=today");
  return [...await rows("select e::text as row from events e order by event_id"), ...await rows("select s::text as row from sessions s order by session_id"), JSON.stringify(stats)];
}

function shopping(n) {
  return Array.from({ length: n }, () => {
    const first = landing();
    return [first, next(first, "product_view", { product: "tee-black" }), next(first, "add_to_cart", { product: "tee-black", quantity: 1, value: "890.00" })];
  }).flat();
}

test("a batch delivered five times in parallel is stored once", async () => {
  const body = envelope(SITE, shopping(100));
  const answers = await Promise.all(Array.from({ length: 5 }, async () => {
    const response = await deliver(it.centre.url, it.keys.ingest, body);
    assert.equal(response.status, 200, await response.clone().text());
    return response.json();
  }));
  assert.equal(answers.reduce((sum, one) => sum + one.accepted, 0), 300, "each event is accepted by exactly one of the five");
  assert.equal(answers.reduce((sum, one) => sum + one.duplicates, 0), 1200);
  for (const answer of answers) assert.deepEqual(answer.rejected, []);
  assert.equal(await it.count("events"), 300);
  const sessions = await it.rows("select * from sessions");
  assert.equal(sessions.length, 100);
  for (const session of sessions) {
    assert.equal(session.event_count, 3);
    assert.equal(session.page_views, 1);
    assert.equal(session.points, 1 + 3 + 10);
  }
  const once = await state();
  assert.equal((await deliver(it.centre.url, it.keys.ingest, body)).status, 200);
  const twice = await state();
  assert.deepEqual(twice.filter((row, n) => row !== once[n]), []);
  assert.equal(twice.length, once.length);
});

test("events in any order and any grouping give the same sessions", async () => {
  const before = await it.count("sessions");
  const first = landing();
  const later = [next(first, "product_view"), next(first, "add_to_cart"), next(first, "initiate_checkout")];
  for (const event of [later[2], later[0], first, later[1]]) assert.equal((await deliver(it.centre.url, it.keys.ingest, envelope(SITE, [event]))).status, 200);
  const [row] = await it.rows("select * from sessions where session_id = $1", first.session.id);
  assert.equal(await it.count("sessions"), before + 1);
  assert.equal(row.event_count, 4);
  assert.equal(row.utm_source, "google");
  assert.equal(row.first_seen.getTime(), first.at);
  assert.equal(row.last_seen.getTime(), first.at + 1000);
});

test("a bad event is kept with its reason and its neighbours are stored", async () => {
  const good = [landing(), landing()];
  const bad = { ...landing(), at: "yesterday" };
  const body = envelope(SITE, [good[0], bad, good[1]]);
  const response = await deliver(it.centre.url, it.keys.ingest, body);
  assert.equal(response.status, 200);
  const answer = await response.json();
  assert.equal(answer.accepted, 2);
  assert.equal(answer.rejected.length, 1);
  assert.equal(answer.rejected[0].index, 1);
  assert.match(answer.rejected[0].message, /at/);
  const [letter] = await it.rows("select * from dead_letters order by dead_letter_id desc limit 1");
  assert.equal(letter.code, answer.rejected[0].code);
  assert.equal(JSON.parse(letter.payload.toString("utf8")).id, bad.id);
});

test("a changed body, a stranger's key and an old signature are refused and nothing is stored", async () => {
  const before = await it.count("events");
  const body = envelope(SITE, [landing()]);
  const [id] = it.keys.ingest.split(":");
  assert.equal((await deliver(it.centre.url, `${id}:${"0".repeat(64)}`, body)).status, 401);
  assert.equal((await deliver(it.centre.url, `nobody:${"0".repeat(64)}`, body)).status, 401);
  const unsigned = await fetch(`${it.centre.url}/ingest/v1/events`, { method: "POST", body, headers: { "content-type": "application/json" } });
  assert.equal(unsigned.status, 401);
  assert.equal(await it.count("events"), before);
});
