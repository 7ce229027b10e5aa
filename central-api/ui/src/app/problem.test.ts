import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";

import { CODES, FIELDS, SENTENCES } from "../texts/problems";
import { actions } from "../texts/settings";
import type { letterProblem as LetterProblem, problem as Problem, rowProblem as RowProblem } from "./problem";

const root = join(import.meta.dirname, "../../..");
const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".rs"))
  .map((file) => readFileSync(join(root, "src", file), "utf8").replace(/#\[cfg\(test\)\][\s\S]*$/, ""));

/** Keys that are not in a table. */
const missing = (wanted: Iterable<string>, table: object) => [...new Set(wanted)].filter((key) => !(key in table));

test("every code of the server has its words", () => {
  const statuses = readFileSync(join(root, "src/error.rs"), "utf8").matchAll(/StatusCode::\w+, "(\w+)"\)/g);
  const literals = sources.flatMap((source) => [...source.matchAll(/(?:\bcode: |Refusal::(?:of|whole)\(\s*)"(\w+)"/g)]);
  const codes = [...statuses, ...literals].map((found) => found[1] ?? "");
  expect(codes.length).toBeGreaterThan(20);
  expect(missing(codes, CODES)).toEqual([]);
});

test("everything that the audit log records has its words", () => {
  const recorded = sources.flatMap((source) => [...source.matchAll(/"((?:site|user|api_key|ingest_key|privacy|campaign|report_schedule|ad_spend|exchange_rates)\.[a-z_]+)"/g)]);
  const literal = sources.flatMap((source) => [...source.matchAll(/\baction: "([a-z_]+\.[a-z_]+)"/g)]);
  const found = [...recorded, ...literal].map((one) => one[1] ?? "");
  expect(new Set(found).size).toBeGreaterThan(20);
  expect(missing(found, actions)).toEqual([]);
  // And nothing that is recorded no more.
  expect(missing(Object.keys(actions), Object.fromEntries(found.map((one) => [one, true])))).toEqual([]);
});

/** Sentences that only programs with a key or a signature can be told. */
const OF_PROGRAMS = /metrics are for|the batch's site|token|API key|key's site|signature|X-UD-|Bearer|the site has no such order/;

test("every fixed sentence that the panel can be told has its Ukrainian", () => {
  const told = sources.flatMap((source) => [...source.matchAll(/ApiError::(?:Conflict|NotFound|Forbidden|Unauthorized)\(\s*"((?:[^"\\]|\\\s)*)"/g)].map((found) => (found[1] ?? "").replace(/\\\s+/g, "")));
  expect(told.length).toBeGreaterThan(15);
  expect(missing(told.filter((sentence) => !OF_PROGRAMS.test(sentence)), SENTENCES)).toEqual([]);
});

test("every reason for which a row of a report of ad spend is refused has its Ukrainian", () => {
  const text = (name: string) => readFileSync(join(root, `src/${name}`), "utf8");
  const literal = String.raw`(?:format(?:_args)?!\(\s*)?"((?:[^"\\]|\\.)*)"`;
  const reader = text("spend/file.rs").replace(/^[\s\S]*?\nimpl Report \{/, "");
  const refused = [...reader.matchAll(new RegExp(String.raw`refuse\(\s*(?:Field::\w+|field),\s*${literal}`, "g")), ...reader.matchAll(new RegExp(String.raw`message: ${literal}`, "g"))];
  const [, required = ""] = /fn required[\s\S]*?message: format!\("([^"]+)"/.exec(text("record.rs")) ?? [];
  const [, currency = ""] = /ALLOWED: &str = "([^"]+)"/.exec(text("currency.rs")) ?? [];
  const cleaned = /\nfn clean[\s\S]*?\n\}/.exec(text("record.rs"))?.[0] ?? "";
  const cleaning = [...cleaned.matchAll(/message: format!\("([^"]+)"|invalid\(field, "([^"]+)"/g)].map((found) => found[1] ?? found[2] ?? "");
  const reasons = [...refused.map((found) => found[1] ?? ""), required, currency, ...cleaning].map((reason) => reason.replace(/^\{(field)?\} /, "").replaceAll(/\{\w*\}/g, "7"));
  expect(reasons.length).toBeGreaterThan(12);
  expect(reasons.filter((message) => rowProblem({ message }) === message)).toEqual([]);
});

interface Schema {
  $ref?: string;
  properties?: Record<string, Schema>;
  allOf?: Schema[];
  oneOf?: Schema[];
}
interface Operation {
  requestBody?: { content: Record<string, { schema?: Schema }> };
}

test("every field that the panel can send has its rule", () => {
  const description = JSON.parse(readFileSync(join(root, "openapi.json"), "utf8")) as { paths: Record<string, Record<string, Operation>>; components: { schemas: Record<string, Schema> } };
  const resolved = (schema: Schema): Schema => (schema.$ref ? (description.components.schemas[schema.$ref.split("/").at(-1) ?? ""] ?? {}) : schema);
  const properties = (schema: Schema): string[] => {
    const { properties: own = {}, allOf = [], oneOf = [] } = resolved(schema);
    return [...Object.keys(own), ...[...allOf, ...oneOf].flatMap(properties)];
  };
  const client = readFileSync(join(import.meta.dirname, "../api/client.ts"), "utf8");
  const calls = [...client.matchAll(/client\.(POST|PATCH|PUT)\("([^"]+)"/g)];
  expect(calls.length).toBeGreaterThan(15);
  const sent = calls.flatMap(([, method = "", path = ""]) => Object.values(description.paths[path]?.[method.toLowerCase()]?.requestBody?.content ?? {}).flatMap(({ schema }) => (schema ? properties(schema) : [])));
  const settings = ["SiteSettings", "WorkerSettings"].flatMap((name) => Object.keys(description.components.schemas[name]?.properties ?? {}));
  expect(settings.length).toBeGreaterThan(10);
  expect(missing([...sent, ...settings], FIELDS)).toEqual([]);
});

let problem: typeof Problem;
let rowProblem: typeof RowProblem;
let letterProblem: typeof LetterProblem;
beforeAll(async () => {
  // What a browser has and this runtime has not.
  Object.assign(globalThis, { localStorage: { getItem: () => "uk", setItem: () => {} }, location: new URL("http://panel.example/") });
  ({ letterProblem, problem, rowProblem } = await import("./problem"));
});

test("a field's rule comes before the server's sentence, that before its code, and its own words are the last resort", () => {
  const error = (status: number, code: string, message: string, field: string | null = null) => ({ status, code, message, field, requestId: "r-1" }) as never;
  expect(problem(error(400, "invalid_field", "x", "settings.worker.excluded_paths[3]"))).toMatch(/^Виключені шляхи/);
  expect(problem(error(400, "invalid_field", "x", "settings.points.purchase"))).toMatch(/^Бали/);
  expect(problem(error(409, "conflict", "there is a user with this address already"))).toBe("Користувач із такою адресою вже є.");
  expect(problem(error(400, "invalid_parameter", "allowed are a, b", "nobody_knows"))).toBe("Значення не підходить: allowed are a, b");
  expect(problem(error(500, "internal", "internal error"))).toBe("Помилка на сервері. Номер запиту: r-1.");
  expect(problem(error(418, "teapot", "short and stout"))).toBe("short and stout");
  expect(problem(error(502, "unknown", "502 Bad Gateway"))).toMatch(/недоступний \(відповідь 502\)/);
  expect(problem(error(401, "unauthorized", "the session has ended; log in again"))).toMatch(/цього не зроблено/);
  expect(problem(error(0, "unreachable", "fetch failed"))).toMatch(/Сервер не відповідає/);
});

test("why a row was refused is said in the reader's language, without the column's name", () => {
  expect(rowProblem({ field: "Day", message: "Day must be a day like 2026-11-20" })).toBe("Має бути день на кшталт 2026-11-20.");
  expect(rowProblem({ message: "the row has 9 cells, the header 7" })).toBe("У рядку клітинок 9, у заголовку 7.");
  expect(rowProblem({ field: "x", message: "x has a reason of tomorrow" })).toBe("has a reason of tomorrow");
});

test("why something that arrived was not stored is said in the reader's language, with the field at fault", () => {
  expect(letterProblem({ code: "invalid_field", message: "items[2].price: must be an amount" })).toBe("Значення не підходить: items[2].price");
  expect(letterProblem({ code: "too_old", message: "occurred_at: its time is more than 7 days back" })).toBe("Подія застаріла: occurred_at");
  expect(letterProblem({ code: "invalid_json", message: "expected value at line 1 column 1" })).toBe("Сервер не зрозумів запит.");
  for (const code of Object.keys(CODES)) expect(letterProblem({ code, message: "words of the server" })).not.toContain("words");
});

test("where the server says how long to wait, it is said", () => {
  const error = (status: number, code: string, retryAfter: number | null) => ({ status, code, message: "try again", field: null, requestId: null, retryAfter }) as never;
  expect(problem(error(429, "too_many_requests", 10))).toMatch(/^Забагато запитів одразу\. Спробуйте за 10\sс\.$/);
  expect(problem(error(429, "too_many_requests", 90))).toMatch(/за 2\sхв\.$/);
  expect(problem(error(503, "unavailable", 5))).toMatch(/за 5\sс\.$/);
  expect(problem(error(429, "too_many_requests", null))).toMatch(/за кілька секунд\.$/);
});
