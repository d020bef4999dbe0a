import { InvalidArgumentError } from "commander";

export interface ListenOption {
  readonly host: string;
  readonly port: number;
}

/** Collects "HOST:PORT" (IPv6 in brackets) of an option that can be given several times. */
export function parseListen(
  text: string,
  before: readonly ListenOption[] | undefined,
): readonly ListenOption[] {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s/]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || port > 65_535) {
    throw new InvalidArgumentError('Give HOST:PORT, such as "127.0.0.1:7420" or "[::1]:0".');
  }
  return [...(before ?? []), { host, port }];
}
