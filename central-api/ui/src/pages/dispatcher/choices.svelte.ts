// What the page shows, read from its address. Parameters without a dot are the API's own and go to it as they are, unless it does not
// know them (scope.ts); those with a dot (`view.compare`, `cohort.metric`) are the page's.
import type { Scope } from "../../api/client";
import { router } from "../../app/router.svelte";
import { catalogue, session } from "../../app/session.svelte";
import { language, t } from "../../app/language.svelte";
import { dispatcher } from "../../texts/dispatcher";
import { valueName } from "../../app/values";
import { NO_FILTERS, scopeOf } from "./scope";

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
  const raw = value === null ? NOT_SET : value === NOT_SET || /^[!\\]/.test(value) ? `\\${value}` : value;
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

function countryName(code: string): string {
  // What is no code is shown as it is.
  try {
    return new Intl.DisplayNames([language.current], { type: "region" }).of(code) ?? code;
  } catch {
    return code;
  }
}
