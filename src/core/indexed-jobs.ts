type Labels = Readonly<Record<string, string>>;

export interface Indexed {
  readonly sequence: number;
  readonly labels: Labels;
}

const NO_LABELS: Labels = {};

/**
 * Jobs in the order of their sequence, and by their labels. Made for very many of them:
 * whoever asks for one label looks at no job that has another.
 */
export class IndexedJobs<T extends Indexed> {
  readonly #all = new JobsBySequence<T>();
  /** Made when somebody first asks by a label: most never do. */
  #byLabel: Map<string, JobsBySequence<T>> | undefined;

  add(job: T): void {
    this.#all.add(job);
    if (this.#byLabel) addToEach(this.#byLabel, job);
  }

  delete(job: T): void {
    this.#all.delete(job);
    if (!this.#byLabel) return;
    for (const key of labelKeys(job.labels)) {
      const same = this.#byLabel.get(key);
      same?.delete(job);
      if (same?.size === 0) this.#byLabel.delete(key);
    }
  }

  /** Returns how many have all of the labels. */
  count(labels = NO_LABELS): number {
    const { jobs, isWanted } = this.#candidates(labels);
    return isWanted ? jobs.count(isWanted) : jobs.size;
  }

  /**
   * Yields those that have all of the labels and whose sequence is below `before`. Must
   * not be used any more once a job was added or deleted.
   */
  newestFirst(before: number, labels = NO_LABELS): Generator<T, undefined, undefined> {
    const { jobs, isWanted } = this.#candidates(labels);
    return jobs.newestFirst(before, isWanted);
  }

  /** Returns the fewest jobs that are known to hold all that have the labels. */
  #candidates(labels: Labels): Candidates<T> {
    const keys = [...labelKeys(labels)];
    if (keys.length === 0) return { jobs: this.#all };
    const byLabel = (this.#byLabel ??= this.#index());
    const having = keys.map((key) => byLabel.get(key) ?? new JobsBySequence<T>());
    const jobs = having.reduce((fewest, each) => (each.size < fewest.size ? each : fewest));
    if (keys.length === 1) return { jobs };
    const wanted = Object.entries(labels);
    return { jobs, isWanted: (job) => wanted.every((label) => hasLabel(job, label)) };
  }

  #index(): Map<string, JobsBySequence<T>> {
    const byLabel = new Map<string, JobsBySequence<T>>();
    for (const job of this.#all.values()) addToEach(byLabel, job);
    return byLabel;
  }
}

interface Candidates<T extends Indexed> {
  readonly jobs: JobsBySequence<T>;
  /** Absent: all of them are wanted. */
  readonly isWanted?: (job: T) => boolean;
}

function addToEach<T extends Indexed>(byLabel: Map<string, JobsBySequence<T>>, job: T): void {
  for (const key of labelKeys(job.labels)) {
    let same = byLabel.get(key);
    if (!same) byLabel.set(key, (same = new JobsBySequence()));
    same.add(job);
  }
}

/** Yields a key for each label, which no other label has. */
function* labelKeys(labels: Labels): Generator<string, void, undefined> {
  for (const key of Object.keys(labels)) yield `${key.length}:${key}${labels[key]}`;
}

function hasLabel({ labels }: Indexed, [key, value]: readonly [string, string]): boolean {
  return labels[key] === value && Object.hasOwn(labels, key);
}

/** The share of removed jobs from which they are taken out of the array. */
const MAX_REMOVED_SHARE = 1 / 64;
const MIN_REMOVED = 64;

/** Jobs in the order of their sequence, in an array: jobs mostly end in that order. */
class JobsBySequence<T extends Indexed> {
  #jobs: T[] = [];
  /** Still in the array: to take out each one alone would move half of the array. */
  #removed: Set<T> | undefined;

  get size(): number {
    return this.#jobs.length - (this.#removed?.size ?? 0);
  }

  add(job: T): void {
    if (this.#removed?.delete(job)) return;
    const last = this.#jobs.at(-1);
    if (!last || last.sequence < job.sequence) this.#jobs.push(job);
    else this.#jobs.splice(this.#indexOf(job.sequence), 0, job);
  }

  delete(job: T): void {
    const removed = (this.#removed ??= new Set());
    removed.add(job);
    if (removed.size < Math.max(MIN_REMOVED, this.#jobs.length * MAX_REMOVED_SHARE)) return;
    this.#jobs = this.#jobs.filter((each) => !removed.has(each));
    this.#removed = undefined;
  }

  *values(): Generator<T, void, undefined> {
    for (const job of this.#jobs) if (!this.#removed?.has(job)) yield job;
  }

  count(isCounted: (job: T) => boolean): number {
    let count = 0;
    for (const job of this.#jobs) if (isCounted(job) && !this.#removed?.has(job)) count += 1;
    return count;
  }

  /** Must not be used any more once a job was added or deleted. */
  *newestFirst(
    before: number,
    isWanted: ((job: T) => boolean) | undefined,
  ): Generator<T, undefined, undefined> {
    for (let index = this.#indexOf(before) - 1; index >= 0; index -= 1) {
      const job = this.#jobs[index] as T;
      if ((!isWanted || isWanted(job)) && !this.#removed?.has(job)) yield job;
    }
    return undefined;
  }

  /** Returns the index of the first job whose sequence is not below that one. */
  #indexOf(sequence: number): number {
    let low = 0;
    for (let high = this.#jobs.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if ((this.#jobs[middle] as T).sequence < sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
