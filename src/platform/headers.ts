const NAME = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/;
const EDGES = /^[\t\n\r ]+|[\t\n\r ]+$/g;
// oxlint-disable-next-line eslint/no-control-regex
const NOT_IN_A_VALUE = /[\0\n\r]|[^\0-\xFF]/;

type HeadersInit = Iterable<readonly [string, string]> | Readonly<Record<string, string>>;

/**
 * The Headers of fetch, for programs that use nothing else of it: Node's own come with
 * all of fetch, which takes a third of a process's start to load, and are slow.
 * The bundles of the command line have it for the global of this name.
 */
export class Headers {
  readonly #values = new Map<string, string>();
  /** Each has a header of its own: commas do not separate them. */
  readonly #cookies: string[] = [];

  constructor(init: HeadersInit = {}) {
    const entries = isIterable(init) ? init : Object.entries(init);
    for (const [name, value] of entries) this.append(name, value);
  }

  append(name: string, value: string): void {
    const key = keyOf(name);
    const text = textOf(name, value);
    const before = this.#values.get(key);
    this.#values.set(key, before === undefined ? text : `${before}, ${text}`);
    if (key === "set-cookie") this.#cookies.push(text);
  }

  set(name: string, value: string): void {
    const text = textOf(name, value);
    this.delete(name);
    this.append(name, text);
  }

  get(name: string): string | null {
    return this.#values.get(keyOf(name)) ?? null;
  }

  has(name: string): boolean {
    return this.#values.has(keyOf(name));
  }

  delete(name: string): void {
    const key = keyOf(name);
    this.#values.delete(key);
    if (key === "set-cookie") this.#cookies.length = 0;
  }

  getSetCookie(): string[] {
    return [...this.#cookies];
  }

  forEach(act: (value: string, name: string, headers: Headers) => void, self?: unknown): void {
    for (const [name, value] of this) act.call(self, value, name, this);
  }

  /** In the order of their names. */
  *entries(): Generator<[name: string, value: string], undefined> {
    for (const name of [...this.#values.keys()].sort()) {
      if (name === "set-cookie") for (const value of this.#cookies) yield [name, value];
      else yield [name, this.#values.get(name) ?? ""];
    }
  }

  *keys(): Generator<string, undefined> {
    for (const [name] of this) yield name;
  }

  *values(): Generator<string, undefined> {
    for (const [, value] of this) yield value;
  }

  [Symbol.iterator](): Generator<[name: string, value: string], undefined> {
    return this.entries();
  }
}

function keyOf(name: string): string {
  if (!NAME.test(name)) throw new TypeError(`${name} is no name of a header`);
  return name.toLowerCase();
}

function textOf(name: string, value: unknown): string {
  const text = String(value).replace(EDGES, "");
  if (NOT_IN_A_VALUE.test(text)) throw new TypeError(`the header ${name} has no such value`);
  return text;
}

function isIterable(init: HeadersInit): init is Iterable<readonly [string, string]> {
  return Symbol.iterator in init;
}
