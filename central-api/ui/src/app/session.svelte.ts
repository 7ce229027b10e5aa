// Who is logged in, which sites they may see, and the words of the site's catalogue.
import * as api from "../api/client";
import { language, t, type Text } from "./language.svelte";
import { askAgain } from "./resource.svelte";
import { router } from "./router.svelte";

/**
 * Whether this browser was logged in last: asking who it is would else be answered with an error on every first visit. Another value for each
 * login, so that the other tabs, which have the same cookie, learn of it.
 */
const STORED = "ud.logged-in";

class Session {
  /** `undefined` until the server said who it is, `null` when nobody is logged in. */
  me = $state.raw<api.Me | null | undefined>(undefined);
  sites = $state.raw<api.Site[]>([]);
  /** Whoever was logged in did not leave: the login says why they are there. */
  ended = $state(false);
  /** Their session ended while they were at work. The page stays as it is behind the login, with what was typed into it. */
  locked = $state(false);
  /** Counts those who were logged in one after another: nothing of one's page is shown to the next. */
  reader = $state(0);
  /** The key of the site that the address names. */
  readonly named: string | null = $derived(router.query.get("site") || null);
  /**
   * The site that the address names, else the first. None where it names one that this reader does not have: the first one's figures would be
   * taken for those of the one that was asked for.
   */
  readonly site: api.Site | undefined = $derived(this.named === null ? this.sites[0] : this.sites.find((site) => site.key === this.named));
  readonly isAdmin: boolean = $derived(this.me?.role === "admin");

  /** Asks who it is. What goes wrong other than "nobody" is thrown. */
  async load() {
    if (localStorage.getItem(STORED) === null) {
      this.me = null;
      return;
    }
    try {
      // Both at once. Nobody is known before the sites are: whoever has none yet would be told for a moment that there is none.
      const [me] = await Promise.all([api.whoAmI(), this.loadSites()]);
      this.me = me;
    } catch (error) {
      if (!(error instanceof api.ApiError && error.status === 401)) throw error;
      this.forget({ ended: true });
    }
  }

  async logIn(email: string, password: string) {
    const me = await api.logIn({ email, password });
    localStorage.setItem(STORED, `${Date.now()}`);
    await this.#welcome(me);
  }

  /** Whoever worked here goes on where they were. */
  async #welcome(me: api.Me) {
    await this.loadSites();
    if (this.me && this.me.email !== me.email) this.reader += 1;
    const goesOn = this.locked;
    this.ended = this.locked = false;
    this.me = me;
    if (goesOn) askAgain();
  }

  /** Somebody logged in or left in another tab, and this one has the same cookie. */
  async elsewhere(isIn: boolean) {
    if (!isIn) return this.end();
    // Who asks for the first time is told by the answer itself; what cannot be asked now is told by the next answer.
    if (this.me === undefined) return;
    try {
      await this.#welcome(await api.whoAmI());
    } catch (error) {
      if (error instanceof api.ApiError && error.status === 401) this.end();
    }
  }

  async logOut() {
    await api.logOut();
    this.forget();
  }

  /** Asks for the sites anew, as after a change of their settings. */
  async loadSites() {
    this.sites = await api.sites();
    if (this.sites[0]) language.site = this.sites[0].language;
  }

  /** The session is no more, and whoever is at work did not ask for it. Nothing that they typed is stored anywhere: it is still on the page. */
  end() {
    if (this.me === null) return;
    if (!this.me) return this.forget({ ended: true });
    localStorage.removeItem(STORED);
    this.ended = this.locked = true;
  }

  /** Nobody is logged in any more; `ended` without their asking for it. */
  forget({ ended = false } = {}) {
    localStorage.removeItem(STORED);
    this.ended = ended;
    this.locked = false;
    this.me = null;
    this.sites = [];
  }
}

export const session = new Session();
// Questions that were under way when one left are answered so too.
api.whenLoggedOut(() => session.end());
addEventListener("storage", ({ key, newValue }) => key === STORED && void session.elsewhere(newValue !== null));

class Catalogue {
  #site = "";
  #answer = $state.raw<api.Catalogue | undefined>(undefined);
  readonly metrics: ReadonlyMap<string, api.Metric> = $derived(new Map(this.#answer?.metrics.map((metric) => [metric.key, metric])));
  readonly dimensions: ReadonlyMap<string, api.Dimension> = $derived(new Map(this.#answer?.dimensions.map((dimension) => [dimension.key, dimension])));

  /** Customer segments, by key and name. */
  get segments(): readonly { key: string; label: Text }[] {
    return this.#answer?.segments ?? [];
  }

  async load(site: string, signal?: AbortSignal) {
    if (site === this.#site) return;
    this.#answer = await api.catalogue(site, signal);
    this.#site = site;
  }

  /** A metric's or dimension's name; its unit is left to the figure. A key without a row is shown as it is. */
  name(key: string): string {
    const label: Text | undefined = this.metrics.get(key)?.label ?? this.dimensions.get(key)?.label;
    return label ? t(label).replace(/, (%|с|s)$/, "") : key;
  }

  definition(key: string): string {
    const text = this.metrics.get(key)?.definition ?? this.dimensions.get(key)?.definition;
    return text ? t(text) : "";
  }
}

export const catalogue = new Catalogue();
