import type { ConnectError, HandlerContext } from "@connectrpc/connect";

/**
 * Is told of each call when it begins. Returns what to call once when it is over, with what
 * it failed with.
 */
export type CallObserver = (context: HandlerContext) => (error?: ConnectError) => void;

/** Makes one of several. */
export function allObservers(observers: readonly CallObserver[]): CallObserver {
  const [only, ...others] = observers;
  if (only && others.length === 0) return only;
  return (context) => {
    const ends = observers.map((observe) => observe(context));
    return (error) => {
      for (const end of ends) end(error);
    };
  };
}
