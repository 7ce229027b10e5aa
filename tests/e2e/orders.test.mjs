// Money: an order placed in the shop is linked to the session that led to it; paid adds to revenue, refunded takes it back.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { DEVICES } from "../visits/devices.mjs";
import { install } from "./installation.mjs";

let it;
before(async () => { it = await install(); });
after(() => it?.remove());

const stats = () => it.api("/api/utm/general-stats?period=today");

async function buy(query, payment) {
  const person = it.browser({ headers: DEVICES[0].headers });
  await person.arrive(`/product/hoodie-zip?${query}`);
  await person.submit("/cart", { product: "hoodie-zip" });
  await person.open("/checkout");
  const { location } = await person.submit("/checkout", { payment, email: "buyer@example.com", phone: "067 123 45 67" });
  return { person, order: new URLSearchParams(location.split("?")[1]).get("order") };
}

test("a paid order is revenue of the session's source, and a refund takes it back", async () => {
  const { person, order } = await buy("utm_source=tiktok&utm_medium=paid_social&utm_campaign=spark", "card");
  const row = await it.eventually("the order is linked", async () => (await it.rows("select * from orders where order_id = $1 and session_id is not null", order))[0]);
  assert.equal(row.link_method, "session");
  assert.equal(row.payment_status, "paid");
  assert.equal(row.revenue, "2190.0000");
  assert.equal(row.email_hash.length, 16);
  const paid = await it.eventually("the figures have it", async () => { const now = await stats(); return now.total_revenue === 2190 && now; });
  assert.equal(paid.total_conversions, 1);
  assert.equal(paid.purchases, 1);
  const [session] = await it.rows("select orders, paid_orders, revenue from sessions where session_id = $1", row.session_id);
  assert.deepEqual(session, { orders: 1, paid_orders: 1, revenue: "2190.0000" });
  await it.eventually("the order carries the touch", async () => (await it.rows("select utm_source from orders where order_id = $1", order))[0].utm_source === "tiktok");

  await person.submit(`/orders/${order}/refund`, { amount: "190.00" });
  assert.equal((await stats()).total_revenue, 2000);
  await person.submit(`/orders/${order}/refund`, {});
  assert.equal((await stats()).total_revenue, 0);
});

test("a prepaid order is a lead and no revenue", async () => {
  const before = await stats();
  const { order } = await buy("utm_source=google&utm_medium=cpc", "prepay");
  const [row] = await it.rows("select payment_status, revenue from orders where order_id = $1", order);
  assert.equal(row.payment_status, "prepaid");
  assert.equal(Number(row.revenue), 0);
  const now = await it.eventually("the lead is counted", async () => { const now = await stats(); return now.leads === before.leads + 1 && now; });
  assert.equal(now.total_revenue, before.total_revenue);
});

test("an older state that arrives late changes nothing", async () => {
  const { order } = await buy("utm_source=bing&utm_medium=cpc", "card");
  const stored = it.shop.orders.get(order);
  const response = await fetch(`${it.centre.url}/api/v1/orders`, {
    method: "POST", headers: { "content-type": "application/json", authorization: `Bearer ${it.keys.shop}` },
    body: JSON.stringify({ ...stored, payment_status: "unpaid", paid_at: undefined, updated_at: new Date(Date.parse(stored.updated_at) - 60_000).toISOString() }),
  });
  assert.equal(response.status, 200, await response.text());
  const [row] = await it.rows("select payment_status from orders where order_id = $1", order);
  assert.equal(row.payment_status, "paid");
});

test("a key that may read may not write orders", async () => {
  const response = await fetch(`${it.centre.url}/api/v1/orders`, {
    method: "POST", headers: { "content-type": "application/json", authorization: `Bearer ${it.keys.read}` }, body: "{}",
  });
  assert.equal(response.status, 403);
});
