// What the server refused, in the reader's language.
import type { ApiError } from "../api/client";
import { CODES, FIELDS, REQUEST, SENTENCES } from "../texts/problems";
import { shell } from "../texts/shell";
import { t, type Text } from "./language.svelte";

/** The text of a field: its path's last part that is known, without places in lists. */
function ofField(path: string): Text | undefined {
  return path
    .replace(/\[\d*\]|\.\d+(?=\.|$)/g, "")
    .split(".")
    .reverse()
    .map((name) => FIELDS[name])
    .find((text) => text !== undefined);
}

/** A sentence for people; the server's own words, which are English, where nothing better is known. */
export function problem({ status, code, message, field, requestId }: ApiError): string {
  if (status === 0) return t(shell.unreachable);
  const text = field === null ? undefined : ofField(field);
  if (text) return t(text);
  const sentence = SENTENCES[message];
  if (sentence) return t(sentence);
  const known = CODES[code];
  if (!known) return message;
  const said = t(known);
  if (said.endsWith(":")) return `${said} ${message}`;
  return status >= 500 && requestId ? `${said} ${t(REQUEST, { id: requestId })}` : said;
}
