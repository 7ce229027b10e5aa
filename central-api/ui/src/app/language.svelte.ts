// The panel's language: the reader's choice, else the browser's, else the site's.

/** A text in every language of the panel, as the API gives labels too. A missing language does not compile. */
export interface Text {
  readonly uk: string;
  readonly en: string;
}

export type Language = keyof Text;

/** Each language by its own name. */
export const LANGUAGES: Record<Language, string> = { uk: "Українська", en: "English" };

const STORED = "ud.language";
const isLanguage = (value: unknown): value is Language => value === "uk" || value === "en";

class LanguageState {
  #chosen = $state<Language | null>(null);
  #site = $state<Language>("uk");
  readonly current: Language = $derived(this.#chosen ?? this.#browser() ?? this.#site);

  constructor() {
    const stored = localStorage.getItem(STORED);
    if (isLanguage(stored)) this.#chosen = stored;
  }

  choose(language: Language) {
    this.#chosen = language;
    localStorage.setItem(STORED, language);
  }

  /** The language that counts when neither reader nor browser has one of ours. */
  set site(language: string) {
    if (isLanguage(language)) this.#site = language;
  }

  #browser(): Language | undefined {
    return navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase()).find(isLanguage);
  }
}

export const language = new LanguageState();

/** The text in the panel's language, `{name}` replaced by the value of that name. */
export function t(text: Text, values?: Record<string, string | number>): string {
  const found = text[language.current];
  return values ? found.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole)) : found;
}

/** Forms of a counted noun by the plural categories of each language; `{n}` is replaced by the number as shown. */
export interface Plural {
  readonly uk: { readonly one: string; readonly few: string; readonly many: string };
  readonly en: { readonly one: string; readonly other: string };
}

export function plural(forms: Plural, n: number, shown = String(n)): string {
  const own: Partial<Record<Intl.LDMLPluralRule, string>> = forms[language.current];
  const category = new Intl.PluralRules(language.current).select(n);
  return (own[category] ?? own.many ?? own.other ?? "").replace("{n}", shown);
}
