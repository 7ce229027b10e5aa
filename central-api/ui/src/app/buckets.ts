// Hours, days, weeks and months of a series, and which of them the answer covers only in part: the running one, and those that a period
// cuts. The only place that decides it, by what the server says of the period.
import type { components } from "../api/schema";

export type Bucket = "hour" | "day" | "week" | "month";

/** What the server says of the period of an answer. */
export type Covered = Pick<components["schemas"]["PeriodAnswer"], "over_to" | "time_zone"> & { start_date?: string | null | undefined };

const HOUR = 3_600_000;

/**
 * Whether the bucket that starts so (an instant for an hour, a local day else) is covered as a whole, in part, or not at all because it has
 * yet to begin.
 */
export function covered(start: string, bucket: Bucket, { over_to, time_zone, start_date }: Covered): "whole" | "part" | "ahead" {
  if (bucket === "hour") {
    const [from, until] = [Date.parse(start), Date.parse(over_to)];
    return from >= until ? "ahead" : from + HOUR > until ? "part" : "whole";
  }
  // The local day that is not over; where the period has ended, the one after it.
  const open = localDay(over_to, time_zone);
  const first = start.slice(0, 10);
  if (first > open) return "ahead";
  const isCut = start_date != null && first < start_date;
  return isCut || next(first, bucket) > open ? "part" : "whole";
}

/** The day of an instant in a zone, as YYYY-MM-DD. */
export function localDay(instant: string, zone: string): string {
  return new Intl.DateTimeFormat("sv-SE", { timeZone: zone }).format(new Date(instant));
}

/** The day on which the next bucket starts. */
function next(first: string, bucket: "day" | "week" | "month"): string {
  const date = new Date(`${first}T00:00:00Z`);
  if (bucket === "month") date.setUTCMonth(date.getUTCMonth() + 1);
  else date.setUTCDate(date.getUTCDate() + (bucket === "week" ? 7 : 1));
  return date.toISOString().slice(0, 10);
}
