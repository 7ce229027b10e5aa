// Cohorts, A/B tests, LTV and repeat purchases over a year of a demo shop, asked of the release program over HTTP: warm requests one after
// another, the 95th percentile of each against its budget.
//
//   node tests/bench/statistics/run.mjs --out FILE [--sessions 1000000] [--requests 20] [--database URL]
//
// Makes a database on the server that UD_BENCH_DATABASE_URL names, fills it and drops it afterwards; --database takes one that is filled.
import { bench } from "../shop.mjs";

await bench("statistics", { sessions: "1000000" }, async (it) => {
  const sessions = Number(it.args.sessions);
  const large = sessions > 3_000_000;
  await it.fill(sessions);
  if (!it.args.database) {
    await it.program("update-analytics");
    it.psql("vacuum analyze");
  }
  await it.serve("read");
  const measure = (name, path, budget) => it.measure(name, `/api/utm/${path}`, budget);

  const cohorts = large ? 1000 : 200;
  for (const type of ["day", "week", "month"]) {
    for (const metric of ["retention", "ltv", "orders", "revenue"]) {
      await measure(`cohorts by ${type}, ${metric}, 90 days`, `cohort-analysis?cohort_type=${type}&metric=${metric}&periods=31`, cohorts);
    }
  }
  await measure("cohorts by month, retention, all time", "cohort-analysis?cohort_type=month&period=all_time", cohorts);
  const sources = await it.call("/api/utm/sources?period=all_time&limit=1&utm_source=!(not%20set)");
  const source = encodeURIComponent(sources.sources[0].utm_source);
  await measure("cohorts by week, retention, 90 days, one source", `cohort-analysis?utm_source=${source}`, cohorts);
  await measure("cohorts by week, ltv, 90 days, one country and device", "cohort-analysis?metric=ltv&country=UA&device_type=mobile", cohorts);
  const campaigns = await it.call("/api/utm/campaigns?period=month&limit=1&utm_content=!(not%20set)");
  const campaign = encodeURIComponent(campaigns.campaigns[0].utm_campaign);
  await measure("ab-test of the largest campaign, month", `ab-test?campaign=${campaign}&period=month`, 50);
  await measure("ab-test of the largest campaign, all time", `ab-test?campaign=${campaign}&period=all_time`, large ? 250 : 50);
  await measure("ltv-comparison, month", "ltv-comparison?period=month", large ? 100 : 50);
  await measure("ltv-comparison, all time", "ltv-comparison?period=all_time", 250);
});
