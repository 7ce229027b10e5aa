// What the page shows, read from its address. Parameters without a dot are the API's own and go to it as they are, unless it does not
// know them (scope.ts); those with a dot (`view.compare`, `cohort.metric`) are the page's.
import type { Scope } from "../../api/client";
import { router } from "../../app/router.svelte";
import { catalogue, session } from "../../app/session.svelte";
import { language, t, type Language } from "../../app/language.svelte";
import { dispatcher } from "../../texts/dispatcher";
import { namesOf, valueName } from "../../app/values";
import { keyOf, type Named } from "./named";
import { NO_FILTERS, scopeOf } from "./scope";

/** Every country's code; put here by the build. */
declare const __COUNTRIES__: readonly string[];
/** How the API writes the absent value. */
const NOT_SET = "(not set)";

export interface Filter {
  dimension: string;
  /** As in the address, with its escapes. */
  raw: string;
}

class Choices {
  /** Equal addresses give the same text, so that nothing is asked twice. */
  readonly #key: string = $derived.by(() => {
    const own = scopeOf(router.query);
    if (session.site) own.set("site", session.site.key);
    own.sort();
    return own.toString();
  });

  readonly scope: Scope = $derived.by(() => {
    const scope: Record<string, string | string[]> = {};
    for (const [name, value] of new URLSearchParams(this.#key)) {
      if (NO_FILTERS.has(name)) scope[name] = value;
      else scope[name] = [...(scope[name] ?? []), value];
    }
    return scope as Scope;
  });

  /** The scope without filters, for what covers everything. */
  readonly unfiltered: Scope = $derived(Object.fromEntries(Object.entries(this.scope).filter(([name]) => NO_FILTERS.has(name) && name !== "confirmed" && name !== "bots")) as Scope);

  /** The scope by the session's date, for what follows visitors and not orders. */
  readonly bySession: Scope = $derived.by(() => {
    const { attribution_date: _, ...rest } = this.scope;
    return rest;
  });

  readonly filters: Filter[] = $derived([...new URLSearchParams(this.#key)].filter(([name]) => !NO_FILTERS.has(name)).map(([dimension, raw]) => ({ dimension, raw })));

  readonly compare: boolean = $derived(router.query.get("view.compare") === "1");
}

export const choices = new Choices();

/** A choice of the page itself, by its name with a dot. */
export function own<K extends string>(name: `${string}.${string}`, allowed: readonly K[], usual: K): K {
  const value = router.query.get(name);
  return allowed.find((one) => one === value) ?? usual;
}

/** Adds a row's value as a filter; adding it again changes nothing. */
export function addFilter(dimension: string, value: string | null) {
  addRaw(dimension, value === null ? NOT_SET : value === NOT_SET || /^[!\\]/.test(value) ? `\\${value}` : value);
}

/** Adds what was typed as a filter; nothing asks for what has no value. */
export function addTyped(dimension: string, typed: string) {
  const raw = rawOf(dimension, typed);
  if (raw === "") addFilter(dimension, null);
  else if (raw !== undefined && namedValues(dimension)) addRaw(dimension, raw);
  else if (raw !== undefined) addFilter(dimension, raw);
}

function addRaw(dimension: string, raw: string) {
  const all = router.query.getAll(dimension);
  if (!all.includes(raw)) router.set({ [dimension]: [...all, raw] });
}

export function removeFilter({ dimension, raw }: Filter) {
  router.set({ [dimension]: router.query.getAll(dimension).filter((one) => one !== raw) });
}

export function clearFilters() {
  router.set(Object.fromEntries(choices.filters.map(({ dimension }) => [dimension, null])));
}

/** A dimension's value in words. */
export function shownValue(dimension: string, value: string | null | undefined): string {
  if (value == null) return t(dispatcher.notSet);
  if (dimension === "country") return countryName(value);
  const named = catalogue.dimensions.get(dimension)?.values.find((one) => one.key === value);
  return named ? t(named.label) : valueName(dimension, value);
}

/** A filter's value in words. */
export function shownFilter({ dimension, raw }: Filter): string {
  const excluded = raw.startsWith("!");
  const text = excluded ? raw.slice(1) : raw;
  const value = text === NOT_SET ? null : text.replace(/^\\/, "");
  return (excluded ? "≠ " : "") + shownValue(dimension, value);
}

/** A dimension's values where they are ours to name, the absent one with them; undefined where they are the shop's or the platforms'. */
export function namedValues(dimension: string): readonly Named[] | undefined {
  const ours = dimension === "country" ? countries() : (catalogue.dimensions.get(dimension)?.values.map(({ key, label }) => ({ key, name: label })) ?? []);
  const all = ours.length > 0 ? ours : namesOf(dimension).map(([key, name]) => ({ key, name }));
  return all.length > 0 ? [...all, { key: NOT_SET, name: dispatcher.notSet }] : undefined;
}

/** What a filter's value is called where it is ours to name; any other is called what it is. */
export function nameOf(dimension: string, raw: string): string {
  const [sign, key] = parted(raw);
  const named = namedValues(dimension)?.find((one) => one.key === key);
  return named ? sign + t(named.name) : raw;
}

/** The other way round: what was typed as a filter of the API's. Undefined where the dimension has no such value. */
export function rawOf(dimension: string, typed: string, named = namedValues(dimension)): string | undefined {
  if (!named || typed.trim() === "") return typed.trim();
  const [sign, name] = parted(typed.trim());
  const key = keyOf(name, named);
  return key === undefined ? undefined : sign + key;
}

/** The sign that excludes a value, and the value. */
const parted = (raw: string): [string, string] => (raw.startsWith("!") ? ["!", raw.slice(1)] : ["", raw]);

/** Every country, in the order of their names. */
function countries(): Named[] {
  const { compare } = new Intl.Collator(language.current);
  return __COUNTRIES__.map((key) => ({ key, name: { uk: countryName(key, "uk"), en: countryName(key, "en") } })).sort((a, b) => compare(t(a.name), t(b.name)));
}

const countryNames = new Map<Language, Intl.DisplayNames>();

function countryName(code: string, inLanguage = language.current): string {
  const names = countryNames.get(inLanguage) ?? new Intl.DisplayNames([inLanguage], { type: "region" });
  countryNames.set(inLanguage, names);
  // What is no code is shown as it is.
  try {
    return names.of(code) ?? code;
  } catch {
    return code;
  }
}
