// One click from the edge to the report, every captured field compared.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { script } from "../visits/script.mjs";
import { DEVICES, PLACES } from "../visits/devices.mjs";
import { install } from "./installation.mjs";

const KYIV = PLACES[0];
const iphone = DEVICES.find((one) => one.name === "Instagram on iPhone");
const fbclid = "IwZXh0bgNhZW0BMABhZGlk_CaseSensitive-123";
const query = {
  utm_source: "IG", utm_medium: "paid_social", utm_campaign: "Зимова колекція", utm_content: "story-3", utm_term: "худі",
  utm_id: "120210", utm_source_platform: "meta", utm_creative_format: "story", fbclid, gclid: "Cj0KCQiA_abc-DEF", ref: "olena-10",
  size: "m", email: "someone@example.com",
};

let it, person;
before(async () => { it = await install(); });
after(() => it?.remove());

test("a tagged visit becomes the right row", async () => {
  person = it.browser({ headers: iphone.headers, cf: KYIV.cf, language: KYIV.language, address: "203.0.113.77" });
  person.cookies.set("_fbp", "fb.1.1700000000000.1234567890");
  const started = Date.now();
  const page = await person.arrive(`/product/hoodie-zip?${new URLSearchParams(query)}`, { referrer: "https://l.instagram.com/path/of/it?u=secret" });
  assert.equal(page.status, 200);
  assert.match(page.body, /Zip hoodie/);

  const row = await it.eventually("the session is stored", async () => (await it.rows("select *, host(ip) as address from sessions"))[0]);
  const seen = it.seenByShop.find((request) => request.url.startsWith("/product/hoodie-zip"));
  assert.equal(row.session_id, seen.headers["x-ud-session"], "the shop was told the session");
  assert.equal(row.visitor_id, seen.headers["x-ud-visitor"]);
  assert.ok(Math.abs(row.first_seen.getTime() - started) < 5_000);

  const expected = {
    visit_count: 1, event_count: 1, page_views: 1, points: 1, bot_reason: null, consent: 1,
    utm_source: "instagram", utm_medium: "paid_social", utm_campaign: "зимова колекція", utm_content: "story-3", utm_term: "худі",
    utm_id: "120210", utm_source_platform: "meta", utm_creative_format: "story", inferred: false, referral: "olena-10",
    referrer_host: "l.instagram.com", referrer_path: "/path/of/it", landing_host: "shop.example", landing_path: "/product/hoodie-zip",
    device_type: "mobile", device_brand: "Apple", os_name: "iOS", in_app: "Instagram", language: "uk-UA",
    country: "UA", region: "Kyiv City", city: "Kyiv", time_zone: "Europe/Kyiv", continent: "EU", asn: 15895, as_organization: "Kyivstar",
    address: "203.0.113.0",
  };
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, row[name]])), expected);
  assert.equal(row.raw.utm_source, "IG", "the raw value is kept where it differs");
  assert.equal(row.raw.utm_campaign, "Зимова колекція");
  assert.equal(row.click_ids.fbclid, fbclid, "click ids are untouched");
  assert.equal(row.click_ids.gclid, "Cj0KCQiA_abc-DEF");
  assert.equal(row.click_ids.fbp, "fb.1.1700000000000.1234567890");
  assert.match(row.click_ids.fbc, new RegExp(`^fb\\.\\d\\.\\d{13}\\.${fbclid}$`));
  assert.match(row.landing_query ?? "", /size=m/);
  assert.doesNotMatch(row.landing_query ?? "", /example\.com|utm_|fbclid/, "nothing personal and no tracking parameter stays in the query");
  assert.match(row.os_version, /^18/);
  assert.ok(row.ip_hash && !row.ip_hash.includes("203"));
  const [agent] = await it.rows("select user_agent from user_agents where ua_hash = $1", row.ua_hash);
  assert.equal(agent.user_agent, iphone.headers["user-agent"]);
});

test("what the browser script and the shop's pages send joins the session", async () => {
  const ud = script(person);
  await ud.ready();
  await ud.act("add_to_cart", { product: "hoodie-zip", quantity: 2, value: "2190.00" });
  await person.open("/cart");
  const [row] = await it.eventually("the events are stored", async () => {
    const rows = await it.rows("select * from sessions");
    return rows[0].event_count >= 3 && rows[0].page_views === 2 && rows[0].add_to_cart_at && rows;
  });
  assert.equal(row.human_seen, true);
  assert.equal(row.visit_count, 1);
  const [event] = await it.rows("select * from events where action = 3");
  assert.equal(event.product_id, "hoodie-zip");
  assert.equal(event.quantity, 2);
  assert.equal(event.value, "2190.0000");
  assert.equal(event.session_id, row.session_id);
});

test("the API shows it", async () => {
  const stats = await it.api("/api/utm/general-stats?period=today");
  assert.equal(stats.total_sessions, 1);
  assert.equal(stats.unique_visitors, 1);
  const sources = await it.api("/api/utm/sources?period=today");
  const found = JSON.stringify(sources);
  assert.match(found, /"instagram"/);
  const sessions = await it.api("/api/utm/sessions?period=today");
  const [row] = await it.rows("select session_id from sessions");
  assert.match(JSON.stringify(sessions), new RegExp(row.session_id));
  const detail = await it.api(`/api/utm/${row.session_id}/session-detail`);
  assert.match(JSON.stringify(detail), /add_to_cart/);
});

test("the same touch again within half an hour is the same session, another touch is the visitor's next", async () => {
  await person.arrive(`/?${new URLSearchParams(query)}`);
  await it.eventually("the page view is stored", async () => Number((await it.rows("select page_views from sessions"))[0].page_views) === 3);
  assert.equal(await it.count("sessions"), 1);
  await person.arrive("/?utm_source=newsletter&utm_medium=email&utm_campaign=november");
  await it.eventually("the second session is stored", async () => (await it.count("sessions")) === 2);
  const rows = await it.rows("select distinct visitor_id from sessions");
  assert.equal(rows.length, 1);
  await person.arrive("/");
  await it.eventually("the page view joins it", async () => Number((await it.rows("select page_views from sessions where utm_campaign = 'november'"))[0].page_views) === 2);
  assert.equal(await it.count("sessions"), 2, "a direct page never overwrites an attribution that is alive");
});
