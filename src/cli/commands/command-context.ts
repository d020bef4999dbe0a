import type { Procman } from "../../contract/procman.js";
import type { Cli } from "../cli.js";

/** What a command is made with. */
export interface CommandContext {
  readonly cli: Cli;
  /** Sets the exit code, which is else 0. */
  readonly exit: (code: number) => void;
  /** The state directory as it was given on the command line, if it was. */
  readonly stateDirOption: (option: string | undefined) => string | undefined;
  /** Absolute path of the state directory. @param option the command's own `--state-dir` */
  readonly stateDir: (option: string | undefined) => string;
}

/** Does something with the state directory's server, and lets go of it. */
export async function withClient<T>(
  { cli, stateDir }: CommandContext,
  option: string | undefined,
  act: (client: Procman) => Promise<T>,
): Promise<T> {
  const client = await cli.connect(stateDir(option));
  try {
    return await act(client);
  } finally {
    await client.close();
  }
}
