// Light or dark: the reader's choice, else the system's.
export type Theme = "system" | "light" | "dark";

const STORED = "ud.theme";

class ThemeState {
  #chosen = $state<Theme>("system");

  constructor() {
    const stored = localStorage.getItem(STORED);
    this.#set(stored === "light" || stored === "dark" ? stored : "system");
  }

  get chosen(): Theme {
    return this.#chosen;
  }

  choose(theme: Theme) {
    localStorage.setItem(STORED, theme);
    this.#set(theme);
  }

  #set(theme: Theme) {
    this.#chosen = theme;
    if (theme === "system") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.dataset["theme"] = theme;
  }
}

export const theme = new ThemeState();
