// Numbers, money and times as the reader writes them. Formatters are costly to make and are kept.
import type { components } from "../api/schema";
import { language } from "./language.svelte";
import { session } from "./session.svelte";

export type Unit = components["schemas"]["Unit"];
/** A figure of the API; `null` is what cannot be computed, such as a share of nothing. */
export type Figure = number | null | undefined;

/** Shown for what is not there. */
export const NOTHING = "–";

const made = new Map<string, Intl.NumberFormat | Intl.DateTimeFormat>();

function kept<F extends Intl.NumberFormat | Intl.DateTimeFormat>(key: string, make: () => F): F {
  const found = made.get(key) ?? make();
  made.set(key, found);
  return found as F;
}

/** The reader's language as it is written in the site's country. */
export function locale(): string {
  const country = session.site?.country;
  return country ? `${language.current}-${country}` : language.current;
}

function numbers(options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const where = locale();
  return kept(`${where} ${JSON.stringify(options)}`, () => new Intl.NumberFormat(where, options));
}

export function number(value: Figure, digits = 2): string {
  return value == null ? NOTHING : numbers({ maximumFractionDigits: digits }).format(value);
}

/** The sign of the site's currency. Others go by their code: the narrow sign of a dozen of them is "$". */
const sign = (currency: string) => ({ style: "currency", currency, currencyDisplay: currency === (session.site?.currency ?? "UAH") ? "narrowSymbol" : "code" }) as const;

/** `currency` is the site's unless given. From a thousand on without the small coin, which a column of money only blurs. */
export function money(value: Figure, currency = session.site?.currency ?? "UAH", exact = false): string {
  if (value == null) return NOTHING;
  const digits = !exact && Math.abs(value) >= 1000 ? { maximumFractionDigits: 0 } : {};
  return numbers({ ...sign(currency), ...digits }).format(value);
}

/** Money without its small coin, where many figures stand close together. */
export function wholeMoney(value: Figure, currency = session.site?.currency ?? "UAH"): string {
  return value == null ? NOTHING : numbers({ ...sign(currency), maximumFractionDigits: 0 }).format(value);
}

/** A percentage that is given as such: 12.5 is 12.5 %. */
export function percent(value: Figure, digits = 2): string {
  return value == null ? NOTHING : numbers({ style: "percent", maximumFractionDigits: digits }).format(value / 100);
}

/** With a sign, for changes. */
export function signedPercent(value: Figure): string {
  return value == null ? NOTHING : numbers({ style: "percent", maximumFractionDigits: 1, signDisplay: "exceptZero" }).format(value / 100);
}

/** Seconds as minutes and seconds, or hours and minutes. */
export function duration(seconds: Figure): string {
  if (seconds == null) return NOTHING;
  const whole = Math.round(Math.abs(seconds));
  const part = (value: number, unit: string) => numbers({ style: "unit", unit, unitDisplay: "narrow", maximumFractionDigits: 0 }).format(value);
  const two = (big: number, bigUnit: string, small: number, smallUnit: string) => (small === 0 ? part(big, bigUnit) : `${part(big, bigUnit)} ${part(small, smallUnit)}`);
  if (whole < 60) return part(whole, "second");
  if (whole < 3_600) return two(Math.floor(whole / 60), "minute", whole % 60, "second");
  if (whole < 86_400) return two(Math.floor(whole / 3_600), "hour", Math.floor((whole % 3_600) / 60), "minute");
  return two(Math.floor(whole / 86_400), "day", Math.floor((whole % 86_400) / 3_600), "hour");
}

/** A figure by its unit in the catalogue. `exact` writes money to the last cent. */
export function figure(value: Figure, unit: Unit, { currency, exact = false }: { currency?: string | undefined; exact?: boolean } = {}): string {
  switch (unit) {
    case "money":
      return money(value, currency, exact);
    case "percent":
      return percent(value);
    case "seconds":
      return duration(value);
    case "count":
    case "points":
    case "ratio":
      return number(value);
  }
}

/** A short figure, for axes and narrow places: 12 k, 1.2 m. Money has its sign only where a currency is given. */
export function compact(value: number, unit: Unit, currency?: string): string {
  if (unit === "percent") return percent(value, 1);
  if (unit === "seconds") return duration(value);
  const style: Intl.NumberFormatOptions = unit === "money" && currency ? sign(currency) : {};
  return numbers({ notation: "compact", minimumFractionDigits: 0, maximumFractionDigits: 1, ...style }).format(value);
}

/** Characters of a figure that fit on a card. */
const FITS = 11;

/** What stands on a card: the whole figure where it fits, else a short one; and all of it, for the tooltip. */
export function onCard(value: Figure, unit: Unit, currency: string): { text: string; exact: string } {
  const whole = figure(value, unit, { currency });
  return { text: value == null || whole.length <= FITS ? whole : compact(value, unit, currency), exact: figure(value, unit, { exact: true, currency }) };
}

function times(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const where = locale();
  return kept(`${where} ${JSON.stringify(options)}`, () => new Intl.DateTimeFormat(where, options));
}

/** An instant in the site's zone. */
export function time(instant: string | null | undefined, options: Intl.DateTimeFormatOptions = { dateStyle: "medium", timeStyle: "short" }): string {
  return instant ? times({ timeZone: session.site?.time_zone ?? "UTC", ...options }).format(new Date(instant)) : NOTHING;
}

/** A local day `YYYY-MM-DD` as such, in no zone. */
export function day(date: string, options: Intl.DateTimeFormatOptions = { dateStyle: "medium" }): string {
  return times({ timeZone: "UTC", ...options }).format(new Date(`${date.slice(0, 10)}T00:00:00Z`));
}

/** Days from the first to the last; one alone where they are the same. */
export const days = (first: string, last: string): string => (first === last ? day(first) : `${day(first)} – ${day(last)}`);

/** How long ago, in the largest fitting unit. */
export function ago(seconds: number): string {
  const steps: [Intl.RelativeTimeFormatUnit, number][] = [["second", 60], ["minute", 60], ["hour", 24], ["day", Infinity]];
  let value = seconds;
  for (const [unit, next] of steps) {
    if (value < next) return new Intl.RelativeTimeFormat(locale(), { numeric: "auto" }).format(-Math.round(value), unit);
    value /= next;
  }
  return NOTHING;
}
