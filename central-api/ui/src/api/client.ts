// Every call to the server, typed by the API's own description. Nothing else in the panel fetches.
import createClient from "openapi-fetch";

import type { components, operations, paths } from "./schema";

type Schemas = components["schemas"];
export type Me = Schemas["Me"];
export type Site = Schemas["SiteView"];
export type Catalogue = Schemas["Catalogue"];
export type Metric = Schemas["MetricAnswer"];
export type Dimension = Schemas["DimensionAnswer"];

/** The code of an answer that is none of the API's, such as a page of a proxy. */
export const UNKNOWN = "unknown";

/** What went wrong, in the server's own words where it had any. */
export class ApiError extends Error {
  constructor(
    /** 0 when the server was not reached. */
    readonly status: number,
    readonly code: string,
    message: string,
    readonly field: string | null = null,
    /** Names the request in the server's log. */
    readonly requestId: string | null = null,
    /** How long to wait before asking again, in seconds, where the server says it. */
    readonly retryAfter: number | null = null,
  ) {
    super(message);
  }

  static from(error: unknown): ApiError {
    return error instanceof ApiError ? error : new ApiError(0, "unreachable", error instanceof Error ? error.message : String(error));
  }
}

const client = createClient<paths>({ baseUrl: location.origin });

let loggedOut: () => void = () => {};

/** What to do when the server says that nobody is logged in any more. */
export function whenLoggedOut(action: () => void) {
  loggedOut = action;
}

/** Logins so far: a refusal that comes late is of the session before. */
let sessionsSoFar = 0;

/** The answer's body; an answer that is not 2xx, or none, is thrown as an `ApiError`. */
async function taken<T>(asked: Promise<{ data?: T; error?: unknown; response: Response }>, { login = false } = {}): Promise<T> {
  const before = sessionsSoFar;
  const { data, error, response } = await asked;
  if (response.ok) return data as T;
  if (response.status === 401 && !login && before === sessionsSoFar) loggedOut();
  throw refusal(response, error);
}

function refusal({ status, statusText, headers }: Response, body: unknown): ApiError {
  const detail = (body as Partial<Schemas["ErrorBody"]> | undefined)?.error;
  const wait = Number.parseInt(headers.get("retry-after") ?? "", 10);
  return new ApiError(status, detail?.code ?? UNKNOWN, detail?.message ?? `${status} ${statusText}`, detail?.field ?? null, headers.get("x-request-id"), Number.isNaN(wait) ? null : wait);
}

/** A file that the server makes, as it begins to come. */
export function file(url: string, signal: AbortSignal): Promise<Response> {
  const asked = fetch(url, { signal }).then(async (response) => ({ data: response, error: response.ok ? undefined : await response.json().catch(() => undefined), response }));
  return taken(asked);
}

// ── account ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

export const whoAmI = () => taken(client.GET("/api/v1/session"), { login: true });
export async function logIn(body: Schemas["Login"]) {
  const me = await taken(client.POST("/api/v1/session", { body }), { login: true });
  sessionsSoFar += 1;
  return me;
}
/** A session that has ended meanwhile is left as well. */
export const logOut = () => taken(client.DELETE("/api/v1/session"), { login: true }).catch((error: unknown) => {
  if (!(error instanceof ApiError && error.status === 401)) throw error;
});
/** Whether the first admin is still to be made. */
export const setup = () => taken(client.GET("/api/v1/setup"), { login: true });
export const makeFirstAdmin = (body: Schemas["FirstAdmin"]) => taken(client.POST("/api/v1/setup", { body }), { login: true });
export const setPasswordByLink = (body: Schemas["NewPassword"]) => taken(client.POST("/api/v1/account/password-link", { body }), { login: true });
export const changePassword = (body: Schemas["PasswordChange"]) => taken(client.POST("/api/v1/account/password", { body }));
export const logins = (signal?: AbortSignal) => taken(client.GET("/api/v1/sessions", { ...(signal && { signal }) }));
export const endLogin = (id: string) => taken(client.DELETE("/api/v1/sessions/{id}", { params: { path: { id } } }));
export const sites = () => taken(client.GET("/api/v1/sites"));

// ── analytics ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

type Query<Operation extends keyof operations> = operations[Operation] extends { parameters: { query?: infer Q } } ? NonNullable<Q> : never;
/** Site, period, filters: what every question about figures has. */
export type Scope = Query<"compare">;
type Answer<Path extends keyof paths> = paths[Path] extends { get: { responses: { 200: { content: { "application/json": infer A } } } } } ? A : never;

export type Compare = Answer<"/api/utm/compare">;
export type General = Compare["current"];
export type Funnel = Answer<"/api/utm/funnel">;
export type TimeSeries = Answer<"/api/utm/time-series">;
export type Geo = Answer<"/api/utm/geo">;
export type Returning = Answer<"/api/utm/returning-visitors">;
export type RepeatRate = Answer<"/api/utm/repeat-rate">;
export type Ltv = Answer<"/api/utm/ltv-comparison">;
export type Touches = Answer<"/api/utm/first-and-last-touch">;
export type Cohorts = Answer<"/api/utm/cohort-analysis">;
export type AbTest = Answer<"/api/utm/ab-test">;
export type Roi = Answer<"/api/utm/roi">;
export type Sessions = Answer<"/api/utm/sessions">;
export type SessionRow = Sessions["sessions"][number];
export type SessionDetail = Answer<"/api/utm/{id}/session-detail">;
export type Coverage = Answer<"/api/utm/coverage">;
export type Freshness = Answer<"/api/utm/freshness">;
export type QueryAnswer = Answer<"/api/utm/query">;
export type ExportType = NonNullable<Query<"export_csv">["type"]>;
/** Site, period and filters, and what the type's own endpoint takes. */
export type ExportQuery = Omit<Query<"export_csv">, "type" | "format" | "locale">;
export type ExportFormat = NonNullable<Query<"export_csv">["format"]>;
/** Every format that the description names; put here by the build. */
export const EXPORT_FORMATS = __EXPORT_FORMATS__;
declare const __EXPORT_FORMATS__: readonly ExportFormat[];

export const catalogue = (site: string, signal?: AbortSignal) => taken(client.GET("/api/utm/catalogue", { params: { query: { site } }, ...(signal && { signal }) }));
export const compare = (query: Scope, signal: AbortSignal) => taken(client.GET("/api/utm/compare", { params: { query }, signal }));
export const funnel = (query: Query<"funnel">, signal: AbortSignal) => taken(client.GET("/api/utm/funnel", { params: { query }, signal }));
export const timeSeries = (query: Query<"time_series">, signal: AbortSignal) => taken(client.GET("/api/utm/time-series", { params: { query }, signal }));
export const geo = (query: Query<"geo">, signal: AbortSignal) => taken(client.GET("/api/utm/geo", { params: { query }, signal }));
export const returning = (query: Scope, signal: AbortSignal) => taken(client.GET("/api/utm/returning-visitors", { params: { query }, signal }));
export const repeatRate = (query: Scope, signal: AbortSignal) => taken(client.GET("/api/utm/repeat-rate", { params: { query }, signal }));
export const ltv = (query: Query<"ltv_comparison">, signal: AbortSignal) => taken(client.GET("/api/utm/ltv-comparison", { params: { query }, signal }));
export const touches = (query: Query<"first_and_last_touch">, signal: AbortSignal) => taken(client.GET("/api/utm/first-and-last-touch", { params: { query }, signal }));
export const cohorts = (query: Query<"cohort_analysis">, signal: AbortSignal) => taken(client.GET("/api/utm/cohort-analysis", { params: { query }, signal }));
export const abTest = (query: Query<"ab_test">, signal: AbortSignal) => taken(client.GET("/api/utm/ab-test", { params: { query }, signal }));
export const roi = (query: Query<"roi">, signal: AbortSignal) => taken(client.GET("/api/utm/roi", { params: { query }, signal }));
export const sessions = (query: Query<"sessions">, signal: AbortSignal) => taken(client.GET("/api/utm/sessions", { params: { query }, signal }));
export const sessionDetail = (id: string, site: string, signal: AbortSignal) =>
  taken(client.GET("/api/utm/{id}/session-detail", { params: { path: { id }, query: { site } }, signal }));
export const coverage = (query: Scope, signal: AbortSignal) => taken(client.GET("/api/utm/coverage", { params: { query }, signal }));
export const freshness = (site: string, signal: AbortSignal) => taken(client.GET("/api/utm/freshness", { params: { query: { site } }, signal }));

/** Registrations by source, the five largest. */
export const registrations = (scope: Scope, signal: AbortSignal) =>
  taken(client.GET("/api/utm/query", { params: { query: { ...scope, metrics: "registrations,sessions", dimensions: "utm_source", sort: "-registrations", limit: 5 } }, signal }));

/** The lists that have a row per value of a dimension; all of one shape. */
export type ListName = "countries" | "cities" | "sources" | "campaigns" | "content" | "mediums" | "terms" | "channels" | "landing-pages" | "referrers" | "devices" | "browsers" | "operating-systems";
/** A row: dimensions are texts or absent, metrics are figures. */
export type Row = Readonly<Record<string, string | number | null>>;
/** One page of a list. */
export interface List {
  rows: readonly Row[];
  totals: Readonly<Record<string, number | null>>;
  total_rows: number;
  currency: string;
}

/** `sort` is a column's key, with `-` before it for the largest first; `search` a text that its rows contain. */
export function list(name: ListName, scope: Scope, { limit, offset = 0, sort, search = "" }: { limit: number; offset?: number; sort: string; search?: string }, signal: AbortSignal): Promise<List> {
  const query = { ...scope, limit, offset, sort, ...(search !== "" && { search }) } as Query<"sources">;
  return together(JSON.stringify([name, query]), signal, (shared) => askList(name, query, shared));
}

/** Questions that are under way, by what is asked. */
const underWay = new Map<string, { answer: Promise<List>; askers: number; controller: AbortController }>();

/** Two that ask the same at once share one request; it is aborted when both have lost interest. */
function together(question: string, signal: AbortSignal, ask: (signal: AbortSignal) => Promise<List>): Promise<List> {
  let shared = underWay.get(question);
  if (!shared) {
    const controller = new AbortController();
    const forget = () => {
      if (underWay.get(question)?.controller === controller) underWay.delete(question);
    };
    shared = { answer: ask(controller.signal).finally(forget), askers: 0, controller };
    controller.signal.addEventListener("abort", forget);
    underWay.set(question, shared);
  }
  const one = shared;
  one.askers += 1;
  signal.addEventListener("abort", () => {
    one.askers -= 1;
    if (one.askers === 0) one.controller.abort();
  });
  return one.answer;
}

async function askList(name: ListName, query: Query<"sources">, signal: AbortSignal): Promise<List> {
  const answer = await taken(client.GET(`/api/utm/${name}` as "/api/utm/sources", { params: { query }, signal }));
  // The rows stand under the list's own name.
  const { totals, total_rows, currency } = answer;
  const rows = Object.values(answer).find((value) => Array.isArray(value)) as unknown as Row[];
  return { rows, totals, total_rows, currency };
}

// ── business ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Site and days. */
export type BusinessQuery = Query<"business_dashboard">;
export type BusinessDashboard = Answer<"/api/v1/analytics/dashboard">;
export type RevenueStreams = Answer<"/api/v1/analytics/revenue-streams">;
export type BusinessCustomers = Answer<"/api/v1/analytics/customers">;
export type BusinessCustomer = Answer<"/api/v1/analytics/customers/{customer}">;
export type CampaignList = Answer<"/api/v1/analytics/campaigns">;
export type ListedCampaign = CampaignList["campaigns"][number];
export type Campaign = Schemas["CampaignView"];
export type CampaignDetail = Answer<"/api/v1/analytics/campaigns/{id}">;
export type RecentOrder = BusinessDashboard["recent_orders"][number];
export type CampaignStatus = Campaign["allowed_statuses"][number];
export type DiscountType = Schemas["DiscountType"];
export type Segment = Schemas["Segment"];
export type BusinessExport = "daily" | "revenue-streams" | "customers" | "campaigns" | "campaign-performance" | "page-views" | "conversion-events";

export const businessDashboard = (query: BusinessQuery, signal: AbortSignal) => taken(client.GET("/api/v1/analytics/dashboard", { params: { query }, signal }));
export const revenueStreams = (query: BusinessQuery, signal: AbortSignal) => taken(client.GET("/api/v1/analytics/revenue-streams", { params: { query }, signal }));
export const businessCustomers = (query: BusinessQuery, signal: AbortSignal) => taken(client.GET("/api/v1/analytics/customers", { params: { query }, signal }));
export const businessCustomer = (customer: number, site: string, signal: AbortSignal) =>
  taken(client.GET("/api/v1/analytics/customers/{customer}", { params: { path: { customer }, query: { site } }, signal }));
export const campaigns = (query: Query<"list_campaigns">, signal: AbortSignal) => taken(client.GET("/api/v1/analytics/campaigns", { params: { query }, signal }));
export const campaign = (id: number, query: Query<"show_campaign">, signal: AbortSignal) => taken(client.GET("/api/v1/analytics/campaigns/{id}", { params: { path: { id }, query }, signal }));
export const addCampaign = (body: Schemas["NewCampaign"]) => taken(client.POST("/api/v1/analytics/campaigns", { body }));
export const changeCampaign = (id: number, site: string, body: Schemas["CampaignChange"]) =>
  taken(client.PATCH("/api/v1/analytics/campaigns/{id}", { params: { path: { id }, query: { site } }, body }));
export const removeCampaign = (id: number, site: string) => taken(client.DELETE("/api/v1/analytics/campaigns/{id}", { params: { path: { id }, query: { site } } }));
/** Where a relation is downloaded. */
export const businessExportUrl = (query: BusinessQuery, type: BusinessExport, format: (typeof EXPORT_FORMATS)[number], locale: "uk" | "en") => {
  const pairs = Object.entries({ ...query, type, format, locale }).flatMap(([name, value]) => [value].flat().map((one) => [name, String(one)]));
  return `/api/v1/analytics/export?${new URLSearchParams(pairs)}`;
};

// ── reports by e-mail ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

export type Schedule = Schemas["ScheduleView"];
export type ScheduleFields = Schemas["PlanFields"];
export type ReportRun = Schemas["RunView"];

export const reportSchedules = (site: string, signal: AbortSignal) => taken(client.GET("/api/v1/report-schedules", { params: { query: { site } }, signal }));
export const addReportSchedule = (site: string, body: ScheduleFields) => taken(client.POST("/api/v1/report-schedules", { params: { query: { site } }, body }));
export const changeReportSchedule = (id: number, body: ScheduleFields) => taken(client.PATCH("/api/v1/report-schedules/{id}", { params: { path: { id } }, body }));
export const removeReportSchedule = (id: number) => taken(client.DELETE("/api/v1/report-schedules/{id}", { params: { path: { id } } }));
export const runReport = (id: number) => taken(client.POST("/api/v1/report-schedules/{id}/run-now", { params: { path: { id } } }));
export const testReport = (id: number) => taken(client.POST("/api/v1/report-schedules/{id}/test", { params: { path: { id } } }));
export const reportRuns = (site: string, signal: AbortSignal) => taken(client.GET("/api/v1/report-runs", { params: { query: { site } }, signal }));
export const sendReportAgain = (id: number, site: string) => taken(client.POST("/api/v1/report-runs/{id}/send-again", { params: { path: { id }, query: { site } } }));
/** Where a report is seen as it would be mailed; for a frame. */
export const reportPreviewUrl = (query: Query<"preview_report">) => `/api/v1/report-preview?${new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]))}`;
/** The same, of which only counts whether it can be made. */
export const previewReport = (query: Query<"preview_report">, signal: AbortSignal) => taken(client.GET("/api/v1/report-preview", { params: { query }, parseAs: "text", signal }));

/** Where a file of all rows is downloaded. */
export function exportUrl(asked: ExportQuery, type: ExportType, format: ExportFormat, locale: "uk" | "en"): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...asked, type, format, locale })) for (const one of [value].flat()) query.append(name, String(one));
  return `/api/utm/export-csv?${query}`;
}

// ── settings ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Settings by name; `null` puts one back to its default. */
export type SiteChange = Omit<Partial<Schemas["SiteChange"]>, "settings"> & { settings?: Record<string, unknown> };
export type SiteSettings = Schemas["SiteSettings"];
export type WorkerSettings = Schemas["WorkerSettings"];
export type Effect = Schemas["Effect"];
export type User = Schemas["UserView"];
export type ApiKey = Schemas["ApiKeyView"];
export type IngestKey = Schemas["IngestKeyView"];
export type AuditEntry = Schemas["AuditEntry"];
export type DeadLetter = Schemas["DeadLetterBody"];
export type Who = Partial<Schemas["Who"]>;
export type SpendUpload = Awaited<ReturnType<typeof uploadSpend>>;
export type Rates = Awaited<ReturnType<typeof rates>>;
export type CheckReport = Schemas["Report"];

export const changeSite = (key: string, body: SiteChange) => taken(client.PATCH("/api/v1/sites/{key}", { params: { path: { key } }, body: body as Schemas["SiteChange"] }));
export const createSite = (body: Schemas["NewShop"]) => taken(client.POST("/api/v1/sites", { body }));
export const checkSite = (body: Schemas["SiteCheck"]) => taken(client.POST("/api/v1/site-check", { body }));

export const users = (signal: AbortSignal) => taken(client.GET("/api/v1/users", { signal }));
export const inviteUser = (body: Schemas["Invitation"]) => taken(client.POST("/api/v1/users", { body }));
export const changeUser = (id: string, body: Schemas["UserChange"]) => taken(client.PATCH("/api/v1/users/{id}", { params: { path: { id } }, body }));
export const removeUser = (id: string) => taken(client.DELETE("/api/v1/users/{id}", { params: { path: { id } } }));
export const passwordLink = (id: string) => taken(client.POST("/api/v1/users/{id}/password-link", { params: { path: { id } } }));

export const apiKeys = (site: string, signal: AbortSignal) => taken(client.GET("/api/v1/api-keys", { params: { query: { site } }, signal }));
export const createApiKey = (body: Schemas["NewApiKey"]) => taken(client.POST("/api/v1/api-keys", { body }));
export const revokeApiKey = (id: string) => taken(client.DELETE("/api/v1/api-keys/{id}", { params: { path: { id } } }));
export const ingestKeys = (site: string, signal: AbortSignal) => taken(client.GET("/api/v1/ingest-keys", { params: { query: { site } }, signal }));
export const createIngestKey = (body: Schemas["NewIngestKey"]) => taken(client.POST("/api/v1/ingest-keys", { body }));
export const revokeIngestKey = (id: string) => taken(client.DELETE("/api/v1/ingest-keys/{id}", { params: { path: { id } } }));

export const auditLog = (site: string, before: number | undefined, signal: AbortSignal) =>
  taken(client.GET("/api/v1/audit-log", { params: { query: { site, limit: 100, ...(before !== undefined && { before }) } }, signal }));
export const deadLetters = (site: string, after: number, settled: boolean, signal: AbortSignal) =>
  taken(client.GET("/api/v1/dead-letters", { params: { query: { site, after, settled, limit: 50 } }, signal }));
export const replayDeadLetter = (id: number) => taken(client.POST("/api/v1/dead-letters/{id}/replay", { params: { path: { id } } }));

export const findPerson = (body: Who) => taken(client.POST("/api/v1/privacy/find", { body: body as Schemas["Who"] }));
export const exportPerson = (body: Who) => taken(client.POST("/api/v1/privacy/export", { body: body as Schemas["Who"] }));
export const erasePerson = (body: Who) => taken(client.POST("/api/v1/privacy/erase", { body: body as Schemas["Who"] }));

/** Takes a platform's report of ad spend; `dry_run` only reads and compares. */
export const uploadSpend = (site: string, file: Blob, dry_run: boolean) =>
  taken(client.POST("/api/v1/ad-spend", { params: { query: { site, dry_run } }, body: file as never, bodySerializer: (body: unknown) => body as Blob, headers: { "content-type": "text/csv" } }));
export const spend = (site: string, start_date: string, end_date: string, page: { limit: number; offset: number }, signal: AbortSignal) =>
  taken(client.GET("/api/v1/ad-spend", { params: { query: { site, start_date, end_date, ...page } }, signal }));

/** Deletes stored spend of some days; of one source where one is named. */
export const deleteSpend = (site: string, start_date: string, end_date: string, source: string | undefined) =>
  taken(client.DELETE("/api/v1/ad-spend", { params: { query: { site, start_date, end_date, ...(source !== undefined && { source }) } } }));

export const rates = (site: string, page: { limit: number; offset: number }, signal: AbortSignal) => taken(client.GET("/api/v1/exchange-rates", { params: { query: { site, ...page } }, signal }));
export const deleteRates = (site: string, currency: string, start_date: string, end_date: string) =>
  taken(client.DELETE("/api/v1/exchange-rates", { params: { query: { site, currency, start_date, end_date } } }));
export const putRates = (site: string, body: Schemas["RateBody"][]) => taken(client.PUT("/api/v1/exchange-rates", { params: { query: { site } }, body }));
