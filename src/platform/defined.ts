/** An object's fields without those that may be undefined, which become optional. */
export type Defined<T> = {
  [Key in keyof T as undefined extends T[Key] ? never : Key]: T[Key];
} & {
  [Key in keyof T as undefined extends T[Key] ? Key : never]?: Exclude<T[Key], undefined>;
};

/**
 * Returns the fields that have a value, for types whose optional fields are
 * absent rather than undefined: `{ pid, ...defined({ signal, cpuTimeMs }) }`.
 */
export function defined<T extends object>(fields: T): Defined<T> {
  const kept: Record<string, unknown> = {};
  // A loop: this is called for every line of output.
  for (const name in fields) if (fields[name] !== undefined) kept[name] = fields[name];
  return kept as Defined<T>;
}
