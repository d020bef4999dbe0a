/** What calls took, one measured run. */
export interface Run {
  /** From the first call's beginning to the last one's end. */
  readonly seconds: number;
  readonly latenciesMs: readonly number[];
}

/** Makes `count` calls, by so many callers who each wait for one call's end before the next. */
export async function measureCalls(
  { callers, count }: { readonly callers: number; readonly count: number },
  call: (caller: number) => Promise<unknown>,
): Promise<Run> {
  const latenciesMs: number[] = [];
  let left = count;
  const callOnAndOn = async (caller: number) => {
    while (left > 0) {
      left -= 1;
      const startMs = performance.now();
      await call(caller);
      latenciesMs.push(performance.now() - startMs);
    }
  };
  const startMs = performance.now();
  await Promise.all(Array.from({ length: callers }, (_, caller) => callOnAndOn(caller)));
  return { seconds: (performance.now() - startMs) / 1000, latenciesMs };
}

export function perSecond({ latenciesMs, seconds }: Run): number {
  return latenciesMs.length / seconds;
}
