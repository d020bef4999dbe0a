/*
 * What a value that JSON.parse has made must be, put together of small checks:
 * `shape({ pid: integer(1), error: optional(text) })`. Each returns the value as its type.
 */

/**
 * Checks one value and returns it.
 * @param field its name, for the error: "stop.kind"; none for the whole
 * @throws Error that names the field and says what it must be
 */
export type Check<T> = (value: unknown, field?: string) => T;

export const text: Check<string> = check(
  "a text",
  (value): value is string => typeof value === "string",
);

export const flag: Check<boolean> = check(
  "true or false",
  (value): value is boolean => typeof value === "boolean",
);

/** A text with something in it. */
export const someText: Check<string> = textMatching(/^[^]/, "a text that is not empty");

export function textMatching(pattern: RegExp, description: string): Check<string> {
  return check(description, (value): value is string => {
    return typeof value === "string" && pattern.test(value);
  });
}

export function integer(
  min = Number.MIN_SAFE_INTEGER,
  max = Number.MAX_SAFE_INTEGER,
): Check<number> {
  return check(`a whole number from ${min} to ${max}`, (value): value is number => {
    return Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
  });
}

export const positive: Check<number> = check(
  "a positive number",
  (value): value is number => Number.isFinite(value) && (value as number) > 0,
);

export const notNegative: Check<number> = check(
  "a number that is not negative",
  (value): value is number => Number.isFinite(value) && (value as number) >= 0,
);

/** A time as JSON.stringify writes it. */
export const time: Check<Date> = (value, field) => {
  const date = typeof value === "string" && TIME.test(value) ? new Date(value) : undefined;
  if (date && !Number.isNaN(date.getTime())) return date;
  throw refused(field, 'a time such as "2026-01-02T03:04:05.678Z"');
};

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

export function oneOf<const T extends string>(values: readonly T[]): Check<T> {
  return check(`one of ${values.join(", ")}`, (value): value is T => {
    return (values as readonly unknown[]).includes(value);
  });
}

export function listOf<T>(item: Check<T>): Check<readonly T[]> {
  return (value, field) => {
    if (!Array.isArray(value)) throw refused(field, "a list");
    return value.map((each, index) => item(each, `${field}[${index}]`));
  };
}

/** An object with any keys, of which __proto__ may be one. */
export function recordOf<T>(item: Check<T>): Check<Readonly<Record<string, T>>> {
  return (value, field) => {
    const object = objectAt(value, field);
    for (const [key, each] of Object.entries(object)) item(each, pathOf(field, key));
    return object as Readonly<Record<string, T>>;
  };
}

export const texts = recordOf(text);

export function optional<T>(present: Check<T>): Check<T | undefined> {
  return (value, field) => (value === undefined ? undefined : present(value, field));
}

export function orDefault<T>(present: Check<T>, otherwise: T): Check<T> {
  return (value, field) => (value === undefined ? otherwise : present(value, field));
}

/** What each field of an object must be. */
export type Shape = Readonly<Record<string, Check<unknown>>>;
export type Shaped<S extends Shape> = { -readonly [Name in keyof S]: ReturnType<S[Name]> };

/** An object with these fields. Others are left out. */
export function shape<S extends Shape>(fields: S): Check<Shaped<S>> {
  return (value, field) => {
    const object = objectAt(value, field);
    const found: Record<string, unknown> = {};
    for (const name in fields) {
      found[name] = fields[name]?.(object[name], pathOf(field, name));
    }
    return found as Shaped<S>;
  };
}

/** An object with these fields. Others, which a newer version has added, are kept. */
export function looseShape<S extends Shape>(fields: S): Check<Shaped<S>> {
  const known = shape(fields);
  return (value, field) => ({ ...objectAt(value, field), ...known(value, field) });
}

function objectAt(value: unknown, field: string | undefined): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw refused(field, "an object");
}

function check<T>(description: string, is: (value: unknown) => value is T): Check<T> {
  return (value, field) => {
    if (is(value)) return value;
    throw refused(field, description);
  };
}

function pathOf(parent: string | undefined, name: string): string {
  return parent === undefined ? name : `${parent}.${name}`;
}

function refused(field: string | undefined, description: string): Error {
  return new Error(`${field ?? "the JSON"} must be ${description}`);
}
