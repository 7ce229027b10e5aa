// What a chart says of its points: those that are covered in part are told so, and what has not begun has no figure.
import { covered, type Bucket, type Covered } from "../app/buckets";
import { time } from "../app/format.svelte";
import { t } from "../app/language.svelte";
import { charts, IN_PART } from "../texts/charts";

/** Without the year, which the chart tells. */
export const SHORT = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" } as const;

/** A point of a bucket that starts so: its figure, and in words that the bucket is covered in part. */
export function covers(start: string, bucket: Bucket, period: Covered, value: number | null): { value: number | null; part?: string } {
  switch (covered(start, bucket, period)) {
    case "whole":
      return { value };
    case "part":
      return { value, part: t(IN_PART[bucket]) };
    case "ahead":
      return { value: null };
  }
}

/** The legend of what is dashed; none where nothing is. */
export function legend(points: readonly { part?: string }[], { over_to }: Covered): string | undefined {
  const part = points.find((point) => point.part !== undefined)?.part;
  return part && t(charts.dashed, { what: part, when: time(over_to, SHORT) });
}
