import { expect, test } from "vitest";

import { asLines, lines, pairs } from "./form";

test("lines are trimmed and empty ones are left out", () => {
  expect(lines(" a \n\n b\n")).toEqual(["a", "b"]);
});

test("pairs read back what was written, and keep what has no name for the server to refuse", () => {
  expect(pairs("fb = facebook\nig=instagram\nlonely")).toEqual({ fb: "facebook", ig: "instagram", lonely: "" });
  expect(asLines(pairs("fb = facebook"))).toBe("fb = facebook");
});
