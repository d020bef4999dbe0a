/**
 * Objects by their keys: each for as long as somebody else holds it, and of those that
 * nobody holds the ones that were asked for last. So there is never a second object of
 * one key in use.
 */
export class RecentObjects<T extends object> {
  readonly #maxIdle: number;
  readonly #refs = new Map<string, WeakRef<T>>();
  /** Oldest first. */
  readonly #recent = new Map<string, T>();
  readonly #onCollected = new FinalizationRegistry<string>((key) => {
    if (this.#refs.get(key)?.deref() === undefined) this.#refs.delete(key);
  });

  constructor(maxIdle: number) {
    this.#maxIdle = maxIdle;
  }

  add(key: string, object: T): void {
    this.#refs.set(key, new WeakRef(object));
    this.#onCollected.register(object, key);
    this.#use(key, object);
  }

  /** Returns the object, which does not count as being asked for. */
  peek(key: string): T | undefined {
    return this.#refs.get(key)?.deref();
  }

  get(key: string): T | undefined {
    const object = this.peek(key);
    if (object) this.#use(key, object);
    return object;
  }

  delete(key: string): void {
    this.#refs.delete(key);
    this.#recent.delete(key);
  }

  *values(): Generator<T, void, undefined> {
    for (const ref of this.#refs.values()) {
      const object = ref.deref();
      if (object) yield object;
    }
  }

  #use(key: string, object: T): void {
    this.#recent.delete(key);
    this.#recent.set(key, object);
    if (this.#recent.size <= this.#maxIdle) return;
    for (const [oldest] of this.#recent) return void this.#recent.delete(oldest);
  }
}
