// Days as the API writes them: YYYY-MM-DD, without a time and a zone.

/** Every day from the first to the last, both included; none when they stand the other way round. */
export function everyDay(first: string, last: string): string[] {
  const days = [];
  // In UTC, where every day has 24 hours.
  for (const date = new Date(`${first}T00:00:00Z`); date.toISOString().slice(0, 10) <= last; date.setUTCDate(date.getUTCDate() + 1)) days.push(date.toISOString().slice(0, 10));
  return days;
}
