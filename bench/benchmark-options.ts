export interface BenchmarkOptions {
  /** How often everything is measured, in turns. */
  readonly rounds: number;
}
