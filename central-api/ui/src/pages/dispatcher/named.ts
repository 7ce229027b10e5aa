// Values that are ours to name, found by what people call them: the API filters by keys alone, and a name that went to it as it was typed
// would match nothing and look right.
import type { Text } from "../../app/language.svelte";

export interface Named {
  /** As it stands in rows and filters. */
  key: string;
  name: Text;
}

const folded = (text: string) => text.trim().toLowerCase().replace(/[ʼ’‘`]/g, "'").replace(/\s+/g, " ");

/** The key of what was typed, be it the key or the name in any of the panel's languages; undefined where no value is called so. */
export function keyOf(typed: string, values: readonly Named[]): string | undefined {
  const wanted = folded(typed);
  const found = values.find(({ key }) => folded(key) === wanted) ?? values.find(({ name }) => Object.values(name).some((one) => folded(one) === wanted));
  return found?.key;
}
