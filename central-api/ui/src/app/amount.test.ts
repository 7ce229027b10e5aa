import { expect, test } from "vitest";

import { asTyped, readAmount } from "./amount";

const value = (text: string) => readAmount(text).value;

test("amounts are read as people and spreadsheets write them", () => {
  for (const [text, is] of [
    ["0", "0"],
    ["1234", "1234"],
    ["1234.5", "1234.5"],
    ["12345,5", "12345.5"],
    ["0,99", "0.99"],
    [",5", "0.5"],
    [" 7.10 ", "7.10"],
    ["10 000", "10000"],
    ["10\u00a0000,25", "10000.25"],
    ["1\u202f234\u2009567", "1234567"],
    ["1,234,567", "1234567"],
    ["1.234.567", "1234567"],
    ["1,234.50", "1234.50"],
    ["1.234,50", "1234.50"],
    ["1,234,567.89", "1234567.89"],
    ["1.234.567,89", "1234567.89"],
    // A group is of three, and none begins with a zero: these can only be decimals.
    ["1,2345", "1.2345"],
    ["1234,567", "1234.567"],
    ["0,500", "0.500"],
    ["0.125", "0.125"],
    // Where spaces or the other sign group, this one does not.
    ["1 234,567", "1234.567"],
    ["1,234.567", "1234.567"],
    // What is being typed.
    ["10,", "10"],
    ["10.", "10"],
  ] as const) expect([text, readAmount(text)]).toEqual([text, { value: is, problem: null }]);
});

test("nothing typed is no amount and nothing wrong", () => {
  for (const empty of ["", "  ", "\u00a0"]) expect(readAmount(empty)).toEqual({ value: "", problem: null });
});

test("one separator before exactly three digits is a thousand to one reader and a decimal to the other: it is refused with both ways to write it", () => {
  for (const [text, whole, decimal] of [["10,000", "10000", "10"], ["10.000", "10000", "10"], ["1,250", "1250", "1.25"], ["999.123", "999123", "999.1230"]]) {
    const { value, problem } = readAmount(text ?? "");
    expect([value, problem?.values]).toEqual(["", { text, whole, decimal }]);
    for (const way of [whole, decimal]) expect(readAmount(way ?? "").value).toBe(way);
  }
});

test("what is no amount is refused, not made into another one", () => {
  for (const bad of ["-1", "+1", "багато", "1e5", "5 UAH", "₴5", "1..5", "1,,5", "12,34,56", "1,23.4", "1.234,567.8", "1,2,3", "0,123,456", "1.23456", ".", ",", "1_000", "NaN", "١", "1234567890123"]) {
    const { value, problem } = readAmount(bad);
    expect([bad, value]).toEqual([bad, ""]);
    expect(problem, bad).not.toBeNull();
  }
});

test("an amount of the server's stands in a field so that it is read back as the same", () => {
  for (const [stored, shown] of [["500", "500"], ["0.7", "0.7"], ["0.125", "0.125"], ["1.234", "1.2340"], ["1234.567", "1234.567"]] as const) {
    expect(asTyped(stored)).toBe(shown);
    expect(Number(value(shown))).toBe(Number(stored));
  }
  expect(asTyped(12.5)).toBe("12.5");
  expect(asTyped(null)).toBe("");
});
