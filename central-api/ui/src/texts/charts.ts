// Words of charts over time.
import type { Bucket } from "../app/buckets";
import type { Text } from "../app/language.svelte";

/** What a bucket is called that is covered only in part. */
export const IN_PART: Record<Bucket, Text> = {
  hour: { uk: "неповна година", en: "not a whole hour" },
  day: { uk: "неповний день", en: "not a whole day" },
  week: { uk: "неповний тиждень", en: "not a whole week" },
  month: { uk: "неповний місяць", en: "not a whole month" },
};

export const charts = {
  dashed: { uk: "Пунктир: {what}, дані до {when}", en: "Dashed: {what}, data until {when}" },
} as const satisfies Record<string, Text>;
