// Which of an address's parameters are questions to the API. An address passes through many hands: an advertiser's click id in it must
// not make the API refuse every question of the page.

/** What every question about figures can be asked; put here by the build: the catalogue, which has the dimensions, comes after the first questions. */
declare const __SCOPE_PARAMETERS__: readonly string[];

/** What is no filter, and can be given once. */
export const NO_FILTERS: ReadonlySet<string> = new Set(["site", "period", "start_date", "end_date", "attribution_date", "bots", "confirmed"]);

/** The parameters of every question about figures, so that they do not contradict each other. */
export function scopeOf(query: URLSearchParams): URLSearchParams {
  const all = [...query].filter(([name]) => __SCOPE_PARAMETERS__.includes(name));
  // Both dates are what the toolbar writes for a period of one's own.
  const hasDates = query.has("start_date") && query.has("end_date");
  const left = hasDates ? ["period"] : ["start_date", "end_date"];
  const once = all.filter(([name], at) => !left.includes(name) && !(NO_FILTERS.has(name) && all.some(([other], later) => later > at && other === name)));
  return new URLSearchParams(once.filter(([name, value], at) => !once.some(([other, same], before) => before < at && other === name && same === value)));
}
