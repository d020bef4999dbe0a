import { ProcmanError } from "../contract/errors.js";

/** For a message that no server of this version sends: it is newer, or none of procman's. */
export function malformed(what: string): ProcmanError {
  return new ProcmanError("INTERNAL", `the server sent ${what}`);
}
