// Amounts as people type them: the one reader of every field for money or a share.
import { AMOUNTS } from "../texts/problems";
import type { Text } from "./language.svelte";

export interface ReadAmount {
  /** As the API takes it; empty where nothing was typed, or what was typed cannot be read. */
  value: string;
  /** Why it cannot be read: a text and what stands in it. */
  problem: { text: Text; values: Record<string, string> } | null;
}

/** Digits before and after the point that the server keeps. */
const AMOUNT = /^\d{1,12}(\.\d{1,4})?$/;
const GROUPED = { ",": /^[1-9]\d{0,2}(,\d{3})+$/, ".": /^[1-9]\d{0,2}(\.\d{3})+$/ };
/** One separator that may group thousands or begin the decimals. */
const EITHER = /^([1-9]\d{0,2})[.,](\d{3})$/;

/**
 * Reads `1234.5`, `1 234,50`, `1,234.50`, `1.234.567`, `,5`. Spaces of every kind only group. With both separators the last one begins the
 * decimals; one that is repeated groups thousands. A single one begins the decimals, except before exactly three digits: `10,000` is ten
 * thousand to one and ten to the other, and neither is taken for granted, as in reports of ad spend. Where grouping is out of the question
 * (`0,500`, `1234,567`, `1 234,567`) it is a decimal. A separator at the end is one that is still being typed.
 */
export function readAmount(text: string): ReadAmount {
  const typed = text.trim();
  const plain = typed.replace(/\s/g, "");
  if (plain === "") return { value: "", problem: null };
  const either = /\d\s+\d/.test(typed) ? null : EITHER.exec(plain);
  if (either) {
    const [, whole = "", decimals = ""] = either;
    const short = decimals.replace(/0+$/, "");
    return { value: "", problem: { text: AMOUNTS.unclear, values: { text: typed, whole: whole + decimals, decimal: asTyped(short === "" ? whole : `${whole}.${short}`) } } };
  }
  const read = canonical(plain);
  return AMOUNT.test(read) ? { value: read, problem: null } : { value: "", problem: { text: AMOUNTS.wrong, values: {} } };
}

/** With a point before the decimals and nothing between thousands; what has no such form comes back as something that is no amount. */
function canonical(plain: string): string {
  const at = Math.max(plain.lastIndexOf(","), plain.lastIndexOf("."));
  if (at < 0) return plain;
  const [sign, other] = plain[at] === "," ? ([",", "."] as const) : ([".", ","] as const);
  const [whole, decimals] = [plain.slice(0, at), plain.slice(at + 1)];
  if (whole.includes(sign)) return GROUPED[sign].test(plain) ? plain.replaceAll(sign, "") : "";
  if (whole.includes(other) && !GROUPED[other].test(whole)) return "";
  if (whole === "" && decimals === "") return "";
  const digits = whole.replaceAll(other, "") || "0";
  return decimals === "" ? digits : `${digits}.${decimals}`;
}

/** What a field begins with: an amount of the server's, written so that it cannot be read two ways. */
export function asTyped(stored: string | number | null | undefined): string {
  const text = String(stored ?? "");
  return EITHER.test(text) ? `${text}0` : text;
}
