// Figures over time as the API answers them.
import type { TimeSeries } from "../../api/client";

export type Point = TimeSeries["series"][number];

/** When the point's bucket starts: the instant of an hour, the local day of a longer one. */
export const startOf = (point: Point): string => point.hour ?? point.day ?? point.week ?? point.month ?? "";
