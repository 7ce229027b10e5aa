// A rate as people type it, and the days that it is for.
import { everyDay } from "../../app/days";

/** Longest stretch of days that one rate is stored for at a time. */
export const MOST_DAYS = 1000;

/** What the API takes: digits before and after the point. */
const RATE = /^\d{1,10}(\.\d{1,8})?$/;

/** Reads `48.95` and `48,95`; a comma is the point, since a rate has no thousands to group. Empty where it is no rate above 0. */
export function readRate(text: string): string {
  const plain = text.replace(/\s/g, "").replace(",", ".");
  return RATE.test(plain) && Number(plain) > 0 ? plain : "";
}

/** Whether one rate may not be stored for so long a stretch. Of days that are not typed yet it is not said. */
export const isTooLong = (first: string, last: string): boolean => Date.parse(last) - Date.parse(first) >= MOST_DAYS * 86_400_000;

/** The rate of each day from the first to the last. */
export const ratesOf = (currency: string, first: string, last: string, rate: string) => everyDay(first, last).map((day) => ({ currency, day, rate }));
