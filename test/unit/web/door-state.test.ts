import { expect, test } from "vitest";
import { type Door, type DoorAnswer, DoorState } from "../../../src/web/state/door-state.js";
import { eventually } from "../../helpers/eventually.js";

const IN: DoorAnswer = { type: "in", host: "box", stateDir: "/s" };
const OUT: DoorAnswer = { type: "out", why: "no session" };

function door(rest: Partial<Door>): DoorState {
  return new DoorState({
    isKnown: false,
    look: async () => OUT,
    enter: async () => ({ type: "out", why: "used" }),
    leave: async () => {},
    download: async () => "file",
    ...rest,
  });
}

test("a link lets in, or says why not", async () => {
  let isIn = false;
  const look = async () => (isIn ? IN : OUT);
  const good = door({
    look,
    enter: async () => {
      isIn = true;
      return IN;
    },
  });
  await good.open("secret");
  expect(good.status.value).toEqual({ type: "in", host: "box", stateDir: "/s" });

  const bad = door({});
  await bad.open("secret");
  expect(bad.status.value).toEqual({ type: "out", why: "used" });
  // One that is of no use does no harm where there is a session.
  const known = door({ look: async () => IN });
  await known.open("secret");
  expect(known.status.value.type).toBe("in");
});

test("without a link, it is the session that counts", async () => {
  const none = door({});
  await none.open(undefined);
  expect(none.status.value).toEqual({ type: "out", why: "no session" });
});

test("a browser that was let in before is not kept waiting", async () => {
  let answer: (answer: DoorAnswer) => void = () => {};
  const known = door({
    isKnown: true,
    look: () => new Promise((resolve) => (answer = resolve)),
  });
  const opened = known.open(undefined);
  expect(known.status.value.type).toBe("in");
  answer(OUT);
  await opened;
  expect(known.status.value.type).toBe("out");
});

test("a server that is away is waited for", async () => {
  let looks = 0;
  const away = door({
    look: async () => {
      looks += 1;
      if (looks === 1) throw new Error("away");
      return IN;
    },
  });
  const opened = away.open(undefined);
  await eventually("that it is away", () => away.status.value.type === "unreachable");
  await opened;
  expect(away.status.value.type).toBe("in");
});

test("leaving, and a session that has ended, shut it", async () => {
  const state = door({ look: async () => IN });
  await state.open(undefined);
  await state.keep();
  expect(state.status.value.type).toBe("in");
  await state.leave();
  expect(state.status.value).toEqual({ type: "out", why: "you have logged out" });
  const ended = door({});
  await ended.keep();
  expect(ended.status.value.type).toBe("out");
});
