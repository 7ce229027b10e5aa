// What the server refused, in the reader's language.
import { UNKNOWN, type ApiError } from "../api/client";
import { CODES, FIELDS, REQUEST, ROW_REASONS, SENTENCES, WAITS } from "../texts/problems";
import { shell } from "../texts/shell";
import { language, t, type Text } from "./language.svelte";

/** The text of a field: its path's last part that is known, without places in lists. */
function ofField(path: string): Text | undefined {
  return path
    .replace(/\[\d*\]|\.\d+(?=\.|$)/g, "")
    .split(".")
    .reverse()
    .map((name) => FIELDS[name])
    .find((text) => text !== undefined);
}

/** A time to wait: seconds, or minutes begun where it is longer than one. */
function timeOf(seconds: number): string {
  const [unit, value] = seconds > 60 ? (["minute", Math.ceil(seconds / 60)] as const) : (["second", seconds] as const);
  return new Intl.NumberFormat(language.current, { style: "unit", unit, unitDisplay: "short" }).format(value);
}

/** A sentence for people; the server's own words, which are English, where nothing better is known. */
export function problem({ status, code, message, field, requestId, retryAfter }: Omit<ApiError, "name">): string {
  if (status === 0) return t(shell.unreachable);
  // Read once one is logged in again.
  if (status === 401) return t(shell.notDone);
  const text = field === null ? undefined : ofField(field);
  if (text) return t(text);
  const sentence = SENTENCES[message];
  if (sentence) return t(sentence);
  // Not the server's own answer but that of something in between, which has no words for people.
  if (code === UNKNOWN) return t(shell.between, { status });
  const wait = WAITS[code];
  if (wait && retryAfter != null) return t(wait, { wait: timeOf(retryAfter) });
  const known = CODES[code];
  if (!known) return message;
  const said = t(known);
  if (said.endsWith(":")) return `${said} ${message}`;
  return status >= 500 && requestId ? `${said} ${t(REQUEST, { id: requestId })}` : said;
}

/** The values that stand in a sentence of the server; none when it is another sentence. */
function valuesIn(sentence: string, pattern: string): Record<string, string> | undefined {
  const literal = pattern.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace(/\{(\w+)\}/g, "(?<$1>\\S+)");
  const found = new RegExp(`^${literal}$`).exec(sentence);
  return found ? { ...found.groups } : undefined;
}

/** Why a row of a file was refused. The column stands beside it and is not named again. */
export function rowProblem(row: { field?: string | null; message: string }): string {
  const reason = row.field && row.message.startsWith(`${row.field} `) ? row.message.slice(row.field.length + 1) : row.message;
  for (const text of Object.values(ROW_REASONS)) {
    const values = valuesIn(reason, text.en);
    if (values) return t(text, values);
  }
  return reason;
}

/** Why something that arrived was not stored: by its code, with the field at fault, which the server's words begin with. */
export function letterProblem({ code, message }: { code: string; message: string }): string {
  const known = CODES[code];
  if (!known) return message;
  const said = t(known);
  if (!said.endsWith(":")) return said;
  const [, field] = /^([\w.[\]]+): /.exec(message) ?? [];
  return field ? `${said} ${field}` : `${said.slice(0, -1)}.`;
}
