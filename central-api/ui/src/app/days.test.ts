import { expect, test } from "vitest";

import { everyDay } from "./days";

test("every day stands once, over the ends of months, leap days and the change of the clocks", () => {
  expect(everyDay("2028-02-27", "2028-03-02")).toEqual(["2028-02-27", "2028-02-28", "2028-02-29", "2028-03-01", "2028-03-02"]);
  expect(everyDay("2026-03-28", "2026-03-30")).toEqual(["2026-03-28", "2026-03-29", "2026-03-30"]);
  expect(everyDay("2025-12-31", "2026-12-31")).toHaveLength(366);
  expect(everyDay("2026-05-05", "2026-05-05")).toEqual(["2026-05-05"]);
  expect(everyDay("2026-05-06", "2026-05-05")).toEqual([]);
});
