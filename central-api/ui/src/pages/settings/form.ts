// Between what a form holds and what the API takes.

/** Lines of a text, trimmed, without empty ones. */
export const lines = (text: string): string[] => text.split("\n").map((line) => line.trim()).filter((line) => line !== "");

/** `value = name` a line. */
export function pairs(text: string): Record<string, string> {
  return Object.fromEntries(
    lines(text).map((line) => {
      const at = line.indexOf("=");
      return at < 0 ? [line, ""] : [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    }),
  );
}

/** The other way round. */
export const asLines = (map: Record<string, string>): string => Object.entries(map).map(([value, name]) => `${value} = ${name}`).join("\n");

/**
 * What of the fields is other than it was. Only that is saved: a form that stood open while somebody else changed a field would put that back
 * with everything else.
 */
export function changes<T extends object>(before: T, after: T): Partial<T> {
  const isOther = (key: string) => JSON.stringify(before[key as keyof T]) !== JSON.stringify(after[key as keyof T]);
  return Object.fromEntries(Object.entries(after).filter(([key]) => isOther(key))) as Partial<T>;
}
