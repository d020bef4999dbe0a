import { type ReadonlySignal, signal } from "@preact/signals-core";
import { formatQuery, type JobQuery, parseQuery } from "./job-query.js";

/** What the page shows. The whole of it is in the page's address. */
export interface Route {
  readonly query: JobQuery;
  /** The job that is open; undefined for the list. */
  readonly jobId?: string;
  /** A form to start a job: an empty one, or one with what a job was started with. */
  readonly start?: "new" | { readonly like: string };
}

/** The browser's history of addresses. */
export interface AddressBar {
  /** "?status=running". */
  readonly search: string;
  push(search: string): void;
  replace(search: string): void;
  /** Calls back when the user goes back or forward. */
  onChange(listener: () => void): void;
}

export class Router {
  readonly #bar: AddressBar;
  readonly #route;

  constructor(bar: AddressBar) {
    this.#bar = bar;
    this.#route = signal(parseRoute(bar.search));
    bar.onChange(() => {
      this.#route.value = parseRoute(bar.search);
    });
  }

  get route(): ReadonlySignal<Route> {
    return this.#route;
  }

  /** Goes somewhere, from where "back" leads here. */
  go(route: Route): void {
    this.#bar.push(formatRoute(route));
    this.#route.value = route;
  }

  openJob(jobId: string): void {
    this.go({ query: this.#route.value.query, jobId });
  }

  openList(): void {
    this.go({ query: this.#route.value.query });
  }

  openStart(start: Route["start"] & {}): void {
    this.go({ query: this.#route.value.query, start });
  }

  /** Changes what of the jobs is shown; "back" leads to where it led before. */
  changeQuery(change: Partial<JobQuery>): void {
    const route = { ...this.#route.value, query: { ...this.#route.value.query, ...change } };
    this.#bar.replace(formatRoute(route));
    this.#route.value = route;
  }
}

export function parseRoute(search: string): Route {
  const params = new URLSearchParams(search);
  const query = parseQuery(params);
  const jobId = params.get("job");
  if (jobId) return { query, jobId };
  const like = params.get("like");
  if (like) return { query, start: { like } };
  return params.has("start") ? { query, start: "new" } : { query };
}

export function formatRoute({ query, jobId, start }: Route): string {
  const params = new URLSearchParams();
  if (jobId !== undefined) params.set("job", jobId);
  if (start !== undefined) {
    if (start === "new") params.set("start", "");
    else params.set("like", start.like);
  }
  const text = formatQuery(query, params).toString();
  return text === "" ? "?" : `?${text}`;
}
