import { expect, test } from "vitest";

import { scopeOf } from "./scope";

const text = (query: string) => scopeOf(new URLSearchParams(query)).toString();

test("what the API knows goes to it: period, how to count, and every dimension's filter with all its values", () => {
  for (const query of ["period=week&bots=include&confirmed=true&attribution_date=order", "start_date=2026-01-01&end_date=2026-01-31", "utm_source=google&utm_source=%21facebook&channel=email&visitor_type=new&region=Kyiv", "source=google&campaign=autumn", "site=shop"]) expect(text(query)).toBe(query);
});

test("what advertisers, mail programs and other pages of the panel put into an address is left out, and so are the page's own choices", () => {
  expect(text("site=shop&fbclid=abc&gclid=1&utm_id=7&utm_source=google&days=90&limit=5&toString=1&view.compare=1&geo.page=2")).toBe("site=shop&utm_source=google");
});

test("of a period and two dates the dates count, which are the narrower choice; a lone date never does", () => {
  expect(text("period=week&start_date=2026-01-01&end_date=2026-01-31")).toBe("start_date=2026-01-01&end_date=2026-01-31");
  expect(text("period=week&start_date=2026-01-01")).toBe("period=week");
  expect(text("end_date=2026-01-01")).toBe("");
});

test("a filter that is given twice is one", () => {
  expect(text("utm_source=a&utm_medium=a&utm_source=a&utm_source=b")).toBe("utm_source=a&utm_medium=a&utm_source=b");
});

test("of a choice that can only be made once the last one counts", () => {
  expect(text("period=week&utm_source=a&period=today&utm_source=b&bots=only&bots=include")).toBe("utm_source=a&period=today&utm_source=b&bots=include");
});
