import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const folder = join(import.meta.dirname, "../texts");
const files = readdirSync(folder).filter((file) => file.endsWith(".ts"));

/** Everything that has both languages, however deep in the tables. */
function texts(tables: unknown[]): [string, unknown][] {
  const isText = (value: unknown) => typeof value === "object" && value !== null && "uk" in value;
  return tables.flatMap((table) => Object.entries(table as object).flatMap(([key, value]): [string, unknown][] => (isText(value) ? [[key, value]] : texts([value]))));
}

for (const file of files) {
  test(`${file} says everything in both languages, with the same values in both`, async () => {
    const words = texts([await import(join(folder, file))]);
    expect(words.length).toBeGreaterThan(0);
    for (const [key, text] of words) {
      const { uk, en } = text as { uk: unknown; en: unknown };
      // Forms of a counted noun.
      if (typeof uk === "object" && typeof en === "object") continue;
      if (typeof uk !== "string" || typeof en !== "string") throw new Error(`${key} lacks a language`);
      expect(uk.trim(), key).not.toBe("");
      expect(en.trim(), key).not.toBe("");
      const values = (one: string) => [...one.matchAll(/\{(\w+)\}/g)].map((found) => found[1]).sort();
      expect(values(uk), key).toEqual(values(en));
      expect(/[а-яіїєґ]/i.test(en), `${key}: ${en}`).toBe(false);
    }
  });
}

/** Text between tags and in attributes that people read, without what is computed. */
function spoken(markup: string): string[] {
  const template = markup.replace(/<script[\s\S]*?<\/script>/g, "").replace(/<style[\s\S]*?<\/style>/g, "").replace(/<!--[\s\S]*?-->/g, "");
  let plain = "";
  let depth = 0;
  for (const c of template) {
    if (c === "{") depth += 1;
    if (depth === 0) plain += c;
    if (c === "}") depth -= 1;
  }
  const attributes = [...plain.matchAll(/\b(?:title|placeholder|alt|aria-label)="([^"]*)"/g)].map((found) => found[1] ?? "");
  return [...plain.replace(/<[^>]*>/g, "\n").split("\n"), ...attributes].map((text) => text.trim()).filter((text) => /\p{L}{2}/u.test(text));
}

test("no component holds a word of its own", () => {
  const source = join(import.meta.dirname, "..");
  const components = readdirSync(source, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".svelte"));
  expect(components.length).toBeGreaterThan(5);
  const own = components.flatMap((file) => spoken(readFileSync(join(source, file), "utf8")).map((text) => `${file}: ${text}`));
  expect(own.filter((text) => !text.endsWith(": UTM Dispatcher"))).toEqual([]);
});
