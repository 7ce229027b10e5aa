// About 200 varied visits through the worker, the same on every run but for ids and times: every ad platform, phones and desktops,
// machines, people who come back, people who refuse, and orders that are paid, prepaid, left unpaid and refunded.
import { PRODUCTS } from "../demo-shop/catalog.mjs";
import { ARRIVALS } from "./arrivals.mjs";
import { browser } from "./browser.mjs";
import { BOTS, DEVICES, PLACES } from "./devices.mjs";
import { script } from "./script.mjs";

/** Numbers from 0 to 1 that are the same every time (mulberry32). */
function dice(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function pick(list, roll) {
  let rest = roll * list.reduce((sum, one) => sum + (one.weight ?? 1), 0);
  return list.find((one) => (rest -= one.weight ?? 1) < 0) ?? list.at(-1);
}

/**
 * Drives `count` visits at `base`, some at a time, and answers what must come out: `{ visits, sessions, machines, refusals, orders,
 * paid, prepaid, refunded, revenue }`, revenue in hundredths. `tell(done)` hears of the progress.
 */
export async function drive({ base, count = 200, atOnce = 8, seed = 20261120, run = Date.now(), tell = () => {} }) {
  const roll = dice(seed);
  const tally = { visits: 0, sessions: 0, machines: 0, refusals: 0, orders: 0, paid: 0, prepaid: 0, unpaid: 0, refunded: 0, revenue: 0 };
  // Decided before anything is sent, so that what happens at the same time cannot change who does what.
  const plans = Array.from({ length: count }, (_, n) => ({
    n: run + n,
    // Of the range that is kept for tests (RFC 2544): to the worker, everybody comes from somewhere else.
    address: `198.18.${n >> 8}.${n & 255}`,
    arrival: n < ARRIVALS.length ? ARRIVALS[n] : pick(ARRIVALS, roll()),
    device: pick(DEVICES, roll()),
    place: pick(PLACES, roll()),
    bot: n % 12 === 11 ? BOTS[Math.trunc(n / 12) % BOTS.length] : undefined,
    refuses: n % 20 === 7 ? "gpc" : undefined,
    returns: roll() < 0.2 ? pick(ARRIVALS.filter((one) => !one.direct), roll()) : undefined,
    depth: roll(),
    product: PRODUCTS[Math.trunc(roll() * PRODUCTS.length)],
    second: roll() < 0.3 ? PRODUCTS[Math.trunc(roll() * PRODUCTS.length)] : undefined,
    payment: roll(),
    refund: roll() < 0.2,
  }));

  const waiting = plans.entries();
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (const [, plan] of waiting) {
      await visit(base, plan, tally);
      tell(tally.visits);
    }
  }));
  return tally;
}

async function visit(base, plan, tally) {
  const place = { cf: plan.place.cf, language: plan.place.language, address: plan.address };
  tally.visits++;
  if (plan.bot) {
    tally.machines++;
    await browser({ base, headers: plan.bot.headers, cf: plan.place.cf, address: plan.address }).send("GET", landing(plan.arrival, plan.n, "/"));
    return;
  }
  const refuses = plan.refuses === "gpc";
  const person = browser({ base, headers: { ...plan.device.headers, ...(refuses && { "sec-gpc": "1" }) }, ...place });
  if (refuses) tally.refusals++;
  else tally.sessions++;

  const first = plan.depth < 0.4 ? "/" : `/product/${plan.product.id}`;
  await person.arrive(landing(plan.arrival, plan.n, first), { referrer: plan.arrival.referrer });
  await person.load("/static/shop.css");
  await person.load("/static/shop.js");
  const ud = script(person);
  await ud.ready();
  await shop(person, ud, plan, tally);

  if (plan.returns && !refuses && plan.returns.name !== plan.arrival.name) {
    // Another touch, so another session of the same visitor.
    tally.sessions++;
    await person.arrive(landing(plan.returns, plan.n + 500_000, "/"), { referrer: plan.returns.referrer });
    await script(person).ready();
  }
}

async function shop(person, ud, plan, tally) {
  if (plan.depth < 0.15) return;
  if (plan.depth < 0.3) {
    await person.open("/search?q=hoodie");
    await ud.act("search", { label: "hoodie" });
  }
  await person.open(`/product/${plan.product.id}`);
  await ud.act("product_view", { product: plan.product.id, value: plan.product.price });
  await ud.act("scroll", { amount: 75 });
  if (plan.depth < 0.5) return void (await ud.act("time_on_page", { amount: 20 }));
  for (const product of [plan.product, plan.second].filter(Boolean)) {
    await ud.act("add_to_cart", { product: product.id, quantity: 1, value: product.price });
    await person.submit("/cart", { product: product.id });
  }
  if (plan.depth < 0.6) return void (await ud.act("remove_from_cart", { product: plan.product.id, quantity: 1 }));
  await person.open("/checkout");
  await ud.act("initiate_checkout", {});
  if (plan.depth < 0.75) return;

  const payment = plan.payment < 0.65 ? "card" : plan.payment < 0.9 ? "prepay" : "cash";
  const { page } = await person.submit("/checkout", { payment, email: `buyer-${plan.n % 1000}@example.com`, phone: `067 ${String(plan.n % 10_000_000).padStart(7, "0")}` });
  const [, order, status, total] = /data-order="([^"]+)" data-status="([^"]+)" data-total="([^"]+)"/.exec(page.body) ?? [];
  if (!order) throw new Error(`the shop did not confirm an order: ${page.status} ${page.body.slice(0, 300)}`);
  const amount = Math.round(Number(total.replace(".", "")));
  tally.orders++;
  tally[status]++;
  if (status === "paid") {
    await ud.act("purchase", { order, value: total });
    tally.revenue += amount;
    if (plan.refund) {
      await person.submit(`/orders/${order}/refund`, {});
      tally.refunded++;
      tally.revenue -= amount;
    }
  } else if (status === "prepaid") {
    await ud.act("lead", { order, value: total });
  }
}

function landing(arrival, n, path) {
  const query = new URLSearchParams(arrival.query(n)).toString();
  return query ? `${path}?${query}` : path;
}
