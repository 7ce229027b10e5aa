// Who refuses is counted and not remembered: no id, address, user agent or click id of theirs is in any table, in any form.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { script } from "../visits/script.mjs";
import { DEVICES, PLACES } from "../visits/devices.mjs";
import { install } from "./installation.mjs";

let it;
before(async () => { it = await install({ settings: { consent: { cookie: "shop_consent", accepted: ["yes"], refused: ["no"], without_cookie: "granted" } } }); });
after(() => it?.remove());

/** Every row of every table as text, with the table's name in front. */
async function everything() {
  const tables = await it.rows("select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p') and not c.relispartition and n.nspname = 'public'");
  const rows = [];
  for (const { name } of tables) rows.push(...(await it.rows(`select t::text as row from ${name} t`)).map(({ row }) => `${name}: ${row}`));
  return rows;
}

const refusals = [
  { name: "Global Privacy Control", headers: { "sec-gpc": "1" } },
  { name: "the site's consent cookie", consent: { shop_consent: "no" } },
];

for (const [n, refusal] of refusals.entries()) {
  test(`${refusal.name}: counted, and nothing that names the visitor is stored`, async () => {
    const before = await it.count("anonymous_hits");
    const secrets = { click: `Refused${n}ClickId_abcdef`, agent: `Refused${n}Browser/7.0`, address: `198.51.100.${70 + n}`, term: `refused-${n}@example.com` };
    const device = DEVICES.find((one) => one.name === "Firefox on Linux");
    const person = it.browser({ headers: { ...device.headers, "user-agent": `${device.headers["user-agent"]} ${secrets.agent}`, ...refusal.headers }, consent: refusal.consent, cf: PLACES[0].cf, address: secrets.address });
    person.cookies.set("_fbp", `fb.1.1700000000000.99${n}99`);
    const page = await person.arrive(`/?utm_source=facebook&utm_medium=paid_social&fbclid=${secrets.click}&gclid=${secrets.click}x&email=${secrets.term}`);
    assert.equal(page.status, 200);
    assert.ok(![...person.cookies.keys()].some((name) => /^(__\w+-)?ud_(v|s)/.test(name)), `no cookie of ours: ${[...person.cookies.keys()]}`);
    const seen = it.seenByShop.at(-1);
    assert.equal(seen.headers["x-ud-visitor"], undefined);
    assert.equal(seen.headers["x-ud-session"], undefined);
    const ud = script(person);
    await ud.ready();
    await ud.act("add_to_cart", { product: "tee-black" });
    await it.eventually("the hit is counted", async () => (await it.count("anonymous_hits")) > before);

    // Somebody who agrees comes after, so that what the queue still held is in too.
    const other = it.browser({ headers: device.headers });
    await other.arrive(`/?utm_source=after-${n}`);
    await it.eventually("the next visitor is stored", async () => (await it.rows("select 1 from sessions where utm_source = $1", `after-${n}`)).length === 1);

    const forbidden = [secrets.click, secrets.agent, secrets.address, secrets.address.replace(/\d+$/, "0/24"), secrets.term, `99${n}99`];
    for (const row of await everything()) for (const text of forbidden) assert.ok(!row.includes(text), `${text} is stored in ${row}`);
    assert.equal((await it.rows("select 1 from sessions where utm_source = 'facebook'")).length, 0, "no session");
  });
}

test("the reports show how many refused", async () => {
  const stats = await it.api("/api/utm/general-stats?period=today");
  assert.equal(stats.total_sessions, 2);
});
