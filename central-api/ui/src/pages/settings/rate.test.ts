import { expect, test } from "vitest";

import { isTooLong, MOST_DAYS, ratesOf, readRate } from "./rate";

test("a rate is read with a point or a comma, and nothing else is one", () => {
  for (const [typed, read] of [["48.95", "48.95"], ["48,9512", "48.9512"], [" 41,253 ", "41.253"], ["1 234,5", "1234.5"], ["0,00000001", "0.00000001"], ["7", "7"]] as const) expect(readRate(typed), typed).toBe(read);
  for (const typed of ["", "0", "0,0", "-1", "1,2,3", "1.234,5", "x", "48.123456789", "48.", ",5", "1e3"]) expect(readRate(typed), typed).toBe("");
});

test("every day of a stretch has the rate", () => {
  expect(ratesOf("EUR", "2026-02-27", "2026-03-01", "48.95")).toEqual(["2026-02-27", "2026-02-28", "2026-03-01"].map((day) => ({ currency: "EUR", day, rate: "48.95" })));
  expect(ratesOf("EUR", "2026-03-02", "2026-03-01", "48.95")).toEqual([]);
});

test("a stretch of days is as long as one rate may be stored for", () => {
  const last = new Date(Date.parse("2024-01-01") + (MOST_DAYS - 1) * 86_400_000).toISOString().slice(0, 10);
  expect(ratesOf("EUR", "2024-01-01", last, "1")).toHaveLength(MOST_DAYS);
  expect(isTooLong("2024-01-01", last)).toBe(false);
  for (const first of ["2023-12-31", "0002-11-20"]) expect(isTooLong(first, last), first).toBe(true);
  for (const [first, to] of [["", ""], ["2024-01-01", ""], ["2024-01-02", "2024-01-01"]] as const) expect(isTooLong(first, to)).toBe(false);
});
