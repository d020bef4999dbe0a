import { computed, type ReadonlySignal, signal } from "@preact/signals-core";
import type { Job } from "../../contract/job.js";

/** The row that the keyboard is at, and the rows that are marked, among those that are shown. */
export class Selection {
  readonly #rows: ReadonlySignal<readonly Job[]>;
  readonly #activeId = signal<string | undefined>(undefined);
  readonly #markedIds = signal<ReadonlySet<string>>(new Set());
  /** From where a range of rows is marked. */
  #anchorId: string | undefined;

  /** -1 where no row is. */
  readonly activeIndex: ReadonlySignal<number>;
  readonly marked: ReadonlySignal<readonly Job[]>;

  constructor(rows: ReadonlySignal<readonly Job[]>) {
    this.#rows = rows;
    this.activeIndex = computed(() => {
      const id = this.#activeId.value;
      return id === undefined ? -1 : rows.value.findIndex((job) => job.id === id);
    });
    this.marked = computed(() => {
      const ids = this.#markedIds.value;
      return ids.size === 0 ? [] : rows.value.filter((job) => ids.has(job.id));
    });
  }

  get active(): Job | undefined {
    return this.#rows.value[this.activeIndex.value];
  }

  /** What an action is for: the marked jobs, or else the one that the keyboard is at. */
  get target(): readonly Job[] {
    const marked = this.marked.value;
    if (marked.length > 0) return marked;
    return this.active ? [this.active] : [];
  }

  isMarked(id: string): boolean {
    return this.#markedIds.value.has(id);
  }

  activate(id: string): void {
    this.#activeId.value = id;
  }

  /** Moves the keyboard's row. @returns where it is now */
  move(steps: number): number {
    const rows = this.#rows.value;
    const active = this.activeIndex.value;
    // Where it is at none, it comes in from outside, by as many steps.
    const from = active !== -1 ? active : steps > 0 ? -1 : rows.length;
    const index = Math.min(Math.max(from + steps, 0), rows.length - 1);
    this.#activeId.value = rows[index]?.id;
    return index;
  }

  toggle(id: string): void {
    const ids = new Set(this.#markedIds.value);
    if (!ids.delete(id)) ids.add(id);
    this.#markedIds.value = ids;
    this.#anchorId = id;
  }

  /** Marks all rows from the one that was marked last to this one. */
  extendTo(id: string): void {
    const rows = this.#rows.value;
    const indexes = [this.#anchorId ?? id, id].map((each) =>
      rows.findIndex((job) => job.id === each),
    );
    const [from = -1, to = -1] = indexes.sort((a, b) => a - b);
    if (from === -1) return this.toggle(id);
    const range = rows.slice(from, to + 1).map((job) => job.id);
    this.#markedIds.value = new Set([...this.#markedIds.value, ...range]);
  }

  toggleAll(): void {
    const rows = this.#rows.value;
    const all = this.marked.value.length === rows.length;
    this.#markedIds.value = new Set(all ? [] : rows.map((job) => job.id));
  }

  clear(): void {
    this.#markedIds.value = new Set();
  }
}
