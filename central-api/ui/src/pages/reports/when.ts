// A schedule's time in words.
import type { Schedule } from "../../api/client";
import { day } from "../../app/format.svelte";
import { t } from "../../app/language.svelte";
import { reports } from "../../texts/reports";

/** 2024 began on a Monday: its first seven days name those of any week. */
export const weekdayName = (weekday: number) => day(`2024-01-0${weekday}`, { weekday: "long" });

export const clockHour = (hour: number) => `${String(hour).padStart(2, "0")}:00`;

/** "Weekly, Monday, 09:00". */
export function when({ frequency, weekday, month_day, hour }: Pick<Schedule, "frequency" | "weekday" | "month_day" | "hour">): string {
  const words = { daily: reports.daily, weekly: reports.weekly, monthly: reports.monthly }[frequency];
  const on = weekday ? weekdayName(weekday) : month_day ? String(month_day) : null;
  return [words ? t(words) : frequency, on, clockHour(hour)].filter(Boolean).join(", ");
}
