import { expect, test } from "vitest";

import { ratesOf, readRate } from "./rate";

test("a rate is read with a point or a comma, and nothing else is one", () => {
  for (const [typed, read] of [["48.95", "48.95"], ["48,9512", "48.9512"], [" 41,253 ", "41.253"], ["1 234,5", "1234.5"], ["0,00000001", "0.00000001"], ["7", "7"]] as const) expect(readRate(typed), typed).toBe(read);
  for (const typed of ["", "0", "0,0", "-1", "1,2,3", "1.234,5", "x", "48.123456789", "48.", ",5", "1e3"]) expect(readRate(typed), typed).toBe("");
});

test("every day of a stretch has the rate", () => {
  expect(ratesOf("EUR", "2026-02-27", "2026-03-01", "48.95")).toEqual(["2026-02-27", "2026-02-28", "2026-03-01"].map((day) => ({ currency: "EUR", day, rate: "48.95" })));
  expect(ratesOf("EUR", "2026-03-02", "2026-03-01", "48.95")).toEqual([]);
});
