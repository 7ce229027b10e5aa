// Customers and business figures over a million orders: every page's JSON from the release program over HTTP, making a year anew, and how
// long an order takes to be counted.
//
//   node tests/bench/business/run.mjs --out FILE [--orders 1000000] [--requests 20] [--database URL]
//
// Makes a database on the server that UD_BENCH_DATABASE_URL names, fills it and drops it afterwards; --database takes one that is filled.
import { bench, pause } from "../shop.mjs";

const day = (back) => new Date(Date.now() - back * 86_400_000).toISOString().slice(0, 10);

await bench("business", { orders: "1000000" }, async (it) => {
  // Sessions bring up to three orders each, and some orders come without one: about as many as asked for, of a third as many customers.
  await it.fill(Math.ceil(Number(it.args.orders) / 3), it.args.orders);
  let began = performance.now();
  await it.program("update-analytics");
  it.row("every customer and day made anew", "s", (performance.now() - began) / 1000, null);
  it.psql("vacuum analyze");
  console.error(`  ${it.psql("select count(*) from order_facts")} orders, ${it.psql("select count(*) from customer_metrics")} customers`);
  began = performance.now();
  await it.program("update-analytics", "--from", day(365), "--to", day(0));
  it.row("a year of days made anew", "s", (performance.now() - began) / 1000, 60);
  it.psql("vacuum analyze");

  // A campaign that a part of the orders is of.
  const site = it.psql("select site_id from order_facts limit 1");
  const campaign = it.psql(
    `insert into campaigns (site_id, name, discount_type, status, start_day, utm_campaigns, promo_codes, created_at, updated_at)
     select ${site}, 'bench', 'none', 'active', '${day(60)}', array[(select utm_campaign from order_facts where utm_campaign is not null
       group by 1 order by count(*) desc limit 1)], '{}', now(), now() returning campaign_id`,
  );
  await it.serve("read,orders");
  for (const period of ["month", "all_time"]) {
    for (const page of ["dashboard", "revenue-streams", "customers", "customer-segments", "daily-revenue", "customer-metrics"]) {
      const query = page === "customer-metrics" ? `sort=${period === "month" ? "revenue" : "last_order"}` : `period=${period}`;
      await it.measure(`${page}, ${period}`, `/api/v1/analytics/${page}?${query}`, 200);
    }
  }
  await it.measure("dashboard, 30 days of last spring", "/api/v1/analytics/dashboard?start_date=2026-04-01&end_date=2026-04-30", 200);
  await it.measure("customer-segments, 30 days of last spring", "/api/v1/analytics/customer-segments?start_date=2026-04-01&end_date=2026-04-30", 200);
  await it.measure("customer-segments, a year", `/api/v1/analytics/customer-segments?start_date=${day(364)}&end_date=${day(0)}`, 200);
  await it.measure("campaigns", "/api/v1/analytics/campaigns", 200);
  await it.measure("campaign of 60 days", `/api/v1/analytics/campaigns/${campaign}`, 200);
  // A large source, the same in the largest country, orders and customers without a source, what most have, a rare value and one that nobody has.
  for (const filter of ["utm_source=facebook", "utm_source=facebook&country=UA", "utm_source=(not%20set)", "country=UA", "browser_name=Edge", "utm_source=google&channel=paid_social"]) {
    for (const page of ["dashboard", "daily-revenue", "revenue-streams", "customers", "customer-segments"]) {
      await it.measure(`${page}, month, ${decodeURIComponent(filter)}`, `/api/v1/analytics/${page}?period=month&${filter}`, 200);
    }
    await it.measure(`customer-metrics, ${decodeURIComponent(filter)}`, `/api/v1/analytics/customer-metrics?${filter}`, 200);
    await it.measure(`campaigns, ${decodeURIComponent(filter)}`, `/api/v1/analytics/campaigns?${filter}`, 200);
    await it.measure(`campaign of 60 days, ${decodeURIComponent(filter)}`, `/api/v1/analytics/campaigns/${campaign}?${filter}`, 200);
  }
  await it.measure("customers, all time, one source", "/api/v1/analytics/customers?period=all_time&utm_source=facebook", 200);
  await it.measure("dashboard, all time, one source", "/api/v1/analytics/dashboard?period=all_time&utm_source=facebook", null);
  await it.measure("page-views, month", "/api/v1/analytics/page-views?period=month", null);
  await it.measure("conversion-events, month", "/api/v1/analytics/conversion-events?period=month", null);

  const sources = await it.call("/api/utm/sources?period=all_time&limit=1&attribution_date=order&sort=-orders&utm_source=!(not%20set)");
  const source = encodeURIComponent(sources.sources[0].utm_source);
  for (const period of ["month", "all_time", "start_date=2026-02-01&end_date=2026-10-31"]) {
    const query = period.includes("=") ? period : `period=${period}`;
    await it.measure(`repeat-rate, ${period}`, `/api/utm/repeat-rate?${query}`, 300);
    await it.measure(`repeat-rate by order date, ${period}`, `/api/utm/repeat-rate?${query}&attribution_date=order`, 300);
    await it.measure(`repeat-rate of the largest source, ${period}`, `/api/utm/repeat-rate?${query}&utm_source=${source}`, 300);
  }

  const purchases = async () => (await it.call("/api/v1/analytics/dashboard?period=today")).kpis.orders;
  const waits = [];
  for (let n = 0; n < 5; n += 1) {
    const before = await purchases();
    const started = performance.now();
    await it.call("/api/v1/orders", {
      method: "POST",
      body: JSON.stringify({ order_id: `bench-${process.pid}-${n}`, total: "100", payment_status: "paid", email: "bench@shop.example" }),
    });
    while ((await purchases()) === before) await pause(100);
    waits.push((performance.now() - started) / 1000);
  }
  it.row("from an order to its day and customer, slowest of 5", "s", Math.max(...waits), 10);
});
