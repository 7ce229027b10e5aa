import { expect, test } from "vitest";

import { changes } from "./changes";

test("only what was changed is saved, lists and tables as a whole", () => {
  const before = { name: "Shop", domains: ["a.example"], points: { lead: 50 }, url: null as string | null };
  expect(changes(before, { ...before, domains: ["a.example"] })).toEqual({});
  expect(changes(before, { name: "Shop", domains: ["a.example", "b.example"], points: { lead: 60 }, url: null })).toEqual({ domains: ["a.example", "b.example"], points: { lead: 60 } });
  expect(changes({ ...before, url: "https://a.example/" }, before)).toEqual({ url: null });
});
