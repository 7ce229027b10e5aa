// Site and days that the business pages show, read from the address.
import type { BusinessQuery } from "../../api/client";
import { router } from "../../app/router.svelte";
import { session } from "../../app/session.svelte";

export const SPANS = ["7", "30", "90", "all"] as const;
export type Span = (typeof SPANS)[number];

/** A day of the site, so many days before today, as YYYY-MM-DD. */
export function dayBefore(days: number): string {
  const today = new Intl.DateTimeFormat("sv-SE", { timeZone: session.site?.time_zone ?? "UTC" }).format(new Date());
  const date = new Date(`${today}T00:00:00Z`);
  date.setUTCDate(date.getUTCDate() - days);
  return date.toISOString().slice(0, 10);
}

/** What can be filtered by: what an order takes over from its session. */
export const FILTERS = ["utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term", "channel", "country", "city", "device_type", "browser_name", "os_name", "landing_page"] as const satisfies readonly (keyof BusinessQuery)[];

class BusinessScope {
  readonly span: Span = $derived(SPANS.find((span) => span === router.query.get("days")) ?? "30");
  readonly site: string = $derived(session.site?.key ?? "");

  readonly filters = $derived(FILTERS.flatMap((dimension) => [...new Set(router.query.getAll(dimension))].map((raw) => ({ dimension, raw }))));
  readonly isFiltered: boolean = $derived(this.filters.length > 0);

  /** The site and the filters, for what is shown whatever the days. */
  readonly anytime: BusinessQuery = $derived({ site: this.site, ...Object.fromEntries(FILTERS.map((name) => [name, router.query.getAll(name)]).filter(([, values]) => values?.length)) });

  /** And for their files, which would hold a month. */
  readonly always: BusinessQuery = $derived({ ...this.anytime, period: "all_time" });

  readonly query: BusinessQuery = $derived({ ...this.anytime, ...this.#days() });

  #days(): BusinessQuery {
    switch (this.span) {
      case "7":
        return { period: "week" };
      case "30":
        return { period: "month" };
      case "90":
        return { start_date: dayBefore(89), end_date: dayBefore(0) };
      case "all":
        return { period: "all_time" };
    }
  }
}

export const scope = new BusinessScope();
