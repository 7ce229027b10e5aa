// The address bar is the state: a path names the page, the query its choices. Back and forward work by themselves.

class Router {
  #url = $state.raw(new URL(location.href));

  constructor() {
    addEventListener("popstate", () => this.#take());
  }

  get path(): string {
    return this.#url.pathname;
  }

  get query(): URLSearchParams {
    return this.#url.searchParams;
  }

  /** Goes to another page; a new entry of the history. */
  go(href: string) {
    history.pushState(null, "", href);
    this.#take();
    scrollTo(0, 0);
  }

  /**
   * Changes parameters of the query and leaves the others: a list repeats the name, `null` removes it. `replace` makes no entry in the
   * history, for what one would not want to go back to. A parameter without a dot says what the page is about: when one changes, every
   * list of it (`campaigns.page`) begins anew.
   */
  set(changes: Record<string, string | readonly string[] | null>, { replace = false } = {}) {
    const query = new URLSearchParams(this.#url.search);
    const isOther = Object.keys(changes).some((name) => !name.includes("."));
    for (const name of isOther ? [...query.keys()] : []) if (name.endsWith(".page")) query.delete(name);
    for (const [name, value] of Object.entries(changes)) {
      query.delete(name);
      for (const one of value === null ? [] : [value].flat()) query.append(name, one);
    }
    const search = query.toString();
    const href = this.#url.pathname + (search && `?${search}`);
    if (href === this.#url.pathname + this.#url.search) return;
    history[replace ? "replaceState" : "pushState"](null, "", href);
    this.#take();
  }

  #take() {
    this.#url = new URL(location.href);
  }
}

export const router = new Router();

/** Whether a click on a link is an ordinary one: with others the reader asks for a new tab, a new window or a file. */
export const isPlain = (event: MouseEvent) => event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;

/** For links: goes there without loading the page anew, except where the reader asks for a new tab or window. */
export function follow(event: MouseEvent & { currentTarget: HTMLAnchorElement }) {
  if (!isPlain(event)) return;
  event.preventDefault();
  router.go(event.currentTarget.pathname + event.currentTarget.search);
  // As after a page that was loaded: the reader goes on from its beginning, and a screen reader tells of it.
  document.getElementById("main")?.focus({ preventScroll: true });
}
