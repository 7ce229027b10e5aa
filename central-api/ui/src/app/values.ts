// Values that the API tells by key, in the reader's words.
import { VALUES } from "../texts/values";
import { t, type Text } from "./language.svelte";

/** A value's name; one that is not known here is shown as it is. */
export function valueName(kind: string, key: string): string {
  const text = VALUES[kind]?.[key];
  return text ? t(text) : key;
}

/** Every value of this kind that has a name. */
export function namesOf(kind: string): [string, Text][] {
  return Object.entries(VALUES[kind] ?? {});
}
