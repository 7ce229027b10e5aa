// What goes wrong with many parts of a page at once has one cause, such as a server that is not reached: it is told once, for the page.
import { untrack } from "svelte";

import type { ApiError } from "../api/client";
import { problem } from "./problem";
import type { Answer } from "./resource.svelte";

/** As many parts with the same cause are the page's trouble; fewer are each their own. */
const MANY = 3;
/** How long a part waits for others to meet the same, in milliseconds, before it tells of it itself. */
const WAIT = 150;

/** The same for all that failed for the same reason; the number of a request is not it. */
const causeOf = ({ status, code, message, field }: ApiError) => JSON.stringify([status, code, message, field]);

interface Part {
  readonly asked: Answer<unknown>;
  readonly error: ApiError;
}

class Trouble {
  /** Parts that failed and are on the page. */
  #parts = $state.raw<readonly Part[]>([]);
  /** Causes that are the page's: so until nothing on the page has them, or those that a retry mends last would speak up one by one. */
  #shared = $state.raw<ReadonlySet<string>>(new Set());
  /** Parts whose cause was looked at. */
  #known = $state.raw<ReadonlySet<Part>>(new Set());
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** What is wrong with the page, one sentence for each cause. */
  readonly told: readonly string[] = $derived([...new Set(this.#ofPage().map((part) => problem({ ...part.error, message: part.error.message, requestId: null })))]);
  readonly loading: boolean = $derived(this.#ofPage().some((part) => part.asked.loading));

  constructor() {
    // Whoever is connected again need not press anything.
    addEventListener("online", () => this.retry());
  }

  /** Asks everything again that the page's trouble kept from being shown. */
  retry = () => {
    for (const asked of new Set(this.#ofPage().map((part) => part.asked))) asked.retry();
  };

  add(part: Part) {
    this.#parts = [...this.#parts, part];
    this.#timer ??= setTimeout(() => this.#look(), WAIT);
  }

  remove(part: Part) {
    this.#parts = this.#parts.filter((one) => one !== part);
    const left = new Set(this.#parts.map((one) => causeOf(one.error)));
    this.#shared = new Set([...this.#shared].filter((cause) => left.has(cause)));
  }

  /** Whether a part tells of its failure itself; none while that is not known. */
  isOwn(part: Part): boolean | undefined {
    if (this.#shared.has(causeOf(part.error))) return false;
    return this.#known.has(part) ? true : undefined;
  }

  #ofPage(): readonly Part[] {
    return this.#parts.filter((part) => this.#shared.has(causeOf(part.error)));
  }

  #look() {
    this.#timer = undefined;
    const count = new Map<string, number>();
    for (const { error } of this.#parts) count.set(causeOf(error), (count.get(causeOf(error)) ?? 0) + 1);
    this.#shared = new Set([...count].filter(([cause, parts]) => parts >= MANY || this.#shared.has(cause)).map(([cause]) => cause));
    this.#known = new Set(this.#parts);
  }
}

export const trouble = new Trouble();

/** What a part of the page says of its failure; to be called while a component is made. */
export function failureOf(asked: () => Answer<unknown>): { readonly isOwn: boolean } {
  let part = $state.raw<Part | null>(null);
  $effect(() => {
    const one = asked();
    const error = one.error;
    if (!error) return;
    const own = { asked: one, error };
    untrack(() => {
      part = own;
      trouble.add(own);
    });
    return () =>
      untrack(() => {
        part = null;
        trouble.remove(own);
      });
  });
  return {
    get isOwn() {
      return part !== null && trouble.isOwn(part) === true;
    },
  };
}
