import { expect, test } from "vitest";

import { keyOf, type Named } from "./named";

const NOT_SET: Named = { key: "(not set)", name: { uk: "(не вказано)", en: "(not set)" } };
const DEVICES: Named[] = [{ key: "desktop", name: { uk: "Комп'ютер", en: "Desktop" } }, { key: "mobile", name: { uk: "Телефон", en: "Phone" } }, NOT_SET];
const COUNTRIES: Named[] = [{ key: "UA", name: { uk: "Україна", en: "Ukraine" } }, { key: "CI", name: { uk: "Кот-дʼІвуар", en: "Côte d’Ivoire" } }];

test("a value is found by its name in either language and by its key, however it is written", () => {
  for (const typed of ["Телефон", "телефон", " Phone ", "PHONE", "mobile"]) expect([typed, keyOf(typed, DEVICES)]).toEqual([typed, "mobile"]);
  for (const typed of ["Україна", "ukraine", "UA", "ua"]) expect([typed, keyOf(typed, COUNTRIES)]).toEqual([typed, "UA"]);
  expect(keyOf("(не вказано)", DEVICES)).toBe("(not set)");
});

test("apostrophes are one sign, whichever a keyboard has", () => {
  for (const typed of ["Комп'ютер", "Комп’ютер", "компʼютер"]) expect([typed, keyOf(typed, DEVICES)]).toEqual([typed, "desktop"]);
  expect(keyOf("Кот-д'Івуар", COUNTRIES)).toBe("CI");
});

test("what is nobody's name is no value, and neither is a part of a name", () => {
  for (const typed of ["", "Phon", "iPhone", "!mobile", "Ukraine, UA"]) expect([typed, keyOf(typed, [...DEVICES, ...COUNTRIES])]).toEqual([typed, undefined]);
});
