/**
 * Where those who do the same at the same time wait for each other, and take
 * turns. Who has left is not waited for.
 */
export class Meeting {
  #members: number;
  #round = newRound();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(members: number) {
    this.#members = members;
  }

  /** Waits until everybody has come here; then it is done once, for all. */
  together(action: () => unknown = () => {}): Promise<void> {
    const round = this.#round;
    round.arrived += 1;
    round.action = action;
    this.#goOnWhenComplete();
    return round.over;
  }

  /** Nobody else has a turn meanwhile. */
  inTurn<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(action);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  leave(): void {
    this.#members -= 1;
    this.#goOnWhenComplete();
  }

  #goOnWhenComplete(): void {
    const round = this.#round;
    if (round.arrived === 0 || round.arrived < this.#members) return;
    this.#round = newRound();
    round.finish(Promise.resolve().then(round.action));
  }
}

interface Round {
  arrived: number;
  action: () => unknown;
  readonly over: Promise<void>;
  finish(outcome: Promise<unknown>): void;
}

function newRound(): Round {
  let finish: Round["finish"] = () => {};
  const over = new Promise<void>((resolve) => {
    finish = (outcome) => resolve(outcome as Promise<void>);
  });
  return { arrived: 0, action: () => {}, over, finish };
}
