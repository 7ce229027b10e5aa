import { expect, test } from "vitest";

import { covered } from "./buckets";

const running = { over_to: "2026-11-20T22:30:00Z", time_zone: "Europe/Kyiv", start_date: "2026-10-22" };

test("the running hour, day, week and month of the site's zone are covered in part, those before them as a whole", () => {
  expect(covered("2026-11-20T22:00:00Z", "hour", running)).toBe("part");
  expect(covered("2026-11-20T21:00:00Z", "hour", running)).toBe("whole");
  // It is half past midnight in Kyiv.
  expect(covered("2026-11-21", "day", running)).toBe("part");
  expect(covered("2026-11-20", "day", running)).toBe("whole");
  expect(covered("2026-11-16", "week", running)).toBe("part");
  expect(covered("2026-11-09", "week", running)).toBe("whole");
  expect(covered("2026-11-01", "month", running)).toBe("part");
});

test("a bucket that begins before the period is covered in part, and one that has not begun not at all", () => {
  expect(covered("2026-10-19", "week", running)).toBe("part");
  expect(covered("2026-10-26", "week", running)).toBe("whole");
  expect(covered("2026-10-01", "month", running)).toBe("part");
  expect(covered("2026-11-22", "day", running)).toBe("ahead");
  expect(covered("2026-11-20T23:00:00Z", "hour", running)).toBe("ahead");
});

test("of a period that has ended every day is whole, and a week or month that it cuts is not", () => {
  const ended = { over_to: "2026-11-18T22:00:00Z", time_zone: "Europe/Kyiv", start_date: null };
  expect(covered("2026-11-18", "day", ended)).toBe("whole");
  expect(covered("2026-11-18T21:00:00Z", "hour", ended)).toBe("whole");
  expect(covered("2026-11-16", "week", ended)).toBe("part");
  expect(covered("2026-11-09", "week", ended)).toBe("whole");
  expect(covered("2026-10-01", "month", ended)).toBe("whole");
});

test("an hour that autumn repeats is one of its own", () => {
  const autumn = { over_to: "2026-10-25T01:30:00Z", time_zone: "Europe/Kyiv", start_date: "2026-10-25" };
  expect(covered("2026-10-25T00:00:00Z", "hour", autumn)).toBe("whole");
  expect(covered("2026-10-25T01:00:00Z", "hour", autumn)).toBe("part");
});
