// What a panel asks the server for: loading, the answer, or what went wrong.
import { untrack } from "svelte";

import { ApiError } from "../api/client";

/** What a panel needs to know of it. */
export interface Answer<T> {
  readonly data: T | undefined;
  readonly error: ApiError | null;
  readonly loading: boolean;
  readonly retry: () => void;
}

export class Resource<T> implements Answer<T> {
  /** The last answer; stays while a new one is awaited. */
  data = $state.raw<T | undefined>(undefined);
  /** What went wrong last, until an answer comes. */
  error = $state.raw<ApiError | null>(null);
  loading = $state(true);
  #attempts = $state(0);

  /** Asks again. */
  retry = () => {
    this.#attempts += 1;
  };

  /** Read by the effect below, so that it runs again. */
  get attempts(): number {
    return this.#attempts;
  }
}

/** Two questions of one panel: there is something to show once the first is answered, and what goes wrong with either is the panel's. */
export function both<T>(first: Answer<T>, second: Answer<unknown>): Answer<T> {
  return {
    get data() {
      return first.data;
    },
    get error() {
      return first.error ?? second.error;
    },
    get loading() {
      return first.loading || second.loading;
    },
    retry() {
      for (const one of [first, second]) if (one.error) one.retry();
    },
  };
}

let asked = $state(0);

/** Has everything that is on the page asked again, as once somebody is logged in again. */
export function askAgain() {
  asked += 1;
}

/**
 * Asks whenever something changes that `ask` reads before its first `await`; the former question is then aborted, also when the component
 * goes. `null` asks nothing. To be called while a component is made.
 */
export function resource<T>(ask: (signal: AbortSignal) => Promise<T> | null): Resource<T> {
  const made = new Resource<T>();
  // Before anything is drawn, and in the order in which the page is written: the first panels' questions are then under way first, however
  // few connections a browser has. A plain effect would run after the page is drawn, the innermost and last panels' first.
  $effect.pre(() => {
    void made.attempts;
    void asked;
    const controller = new AbortController();
    const answer = ask(controller.signal);
    untrack(() => {
      made.loading = answer !== null;
    });
    answer?.then(
      (data) => {
        if (controller.signal.aborted) return;
        made.data = data;
        made.error = null;
        made.loading = false;
      },
      (error: unknown) => {
        if (controller.signal.aborted) return;
        // Nobody is logged in: the login stands before the page, which asks again after it.
        if (error instanceof ApiError && error.status === 401) return;
        made.error = ApiError.from(error);
        made.loading = false;
      },
    );
    return () => controller.abort();
  });
  return made;
}
