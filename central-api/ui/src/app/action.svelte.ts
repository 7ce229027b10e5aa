// Something that the reader has the server do: whether it runs, what went wrong, and what came of it.
import { ApiError } from "../api/client";

export class Action<A extends unknown[], T> {
  busy = $state(false);
  failure = $state.raw<ApiError | null>(null);
  /** What the last run came to; gone when the next begins. */
  result = $state.raw<T | undefined>(undefined);
  readonly #run: (...args: A) => Promise<T>;

  constructor(run: (...args: A) => Promise<T>) {
    this.#run = run;
  }

  /** Runs unless it runs already. Never throws. */
  run = async (...args: A): Promise<T | undefined> => {
    if (this.busy) return undefined;
    this.busy = true;
    this.failure = null;
    this.result = undefined;
    try {
      this.result = await this.#run(...args);
      return this.result;
    } catch (error) {
      this.failure = ApiError.from(error);
      return undefined;
    } finally {
      this.busy = false;
    }
  };

  /** Forgets what came of it. */
  clear = () => {
    this.failure = null;
    this.result = undefined;
  };
}
