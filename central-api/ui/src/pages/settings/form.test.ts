import { expect, test } from "vitest";

import { asLines, changes, lines, pairs } from "./form";

test("lines are trimmed and empty ones are left out", () => {
  expect(lines(" a \n\n b\n")).toEqual(["a", "b"]);
});

test("pairs read back what was written, and keep what has no name for the server to refuse", () => {
  expect(pairs("fb = facebook\nig=instagram\nlonely")).toEqual({ fb: "facebook", ig: "instagram", lonely: "" });
  expect(asLines(pairs("fb = facebook"))).toBe("fb = facebook");
});

test("only what was changed is saved, lists and tables as a whole", () => {
  const before = { name: "Shop", domains: ["a.example"], points: { lead: 50 }, url: null as string | null };
  expect(changes(before, { ...before, domains: ["a.example"] })).toEqual({});
  expect(changes(before, { name: "Shop", domains: ["a.example", "b.example"], points: { lead: 60 }, url: null })).toEqual({ domains: ["a.example", "b.example"], points: { lead: 60 } });
  expect(changes({ ...before, url: "https://a.example/" }, before)).toEqual({ url: null });
});
