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
