/**
 * Whether what a test needs from outside of npm is here. Where it is not, CI
 * fails, and elsewhere it is said.
 * @param missing what is missing; undefined where nothing is
 */
export function isHere(missing: string | undefined): boolean {
  if (missing === undefined) return true;
  if (process.env["CI"]) throw new Error(`CI needs what is missing: ${missing}`);
  console.warn(`skipped: ${missing}`);
  return false;
}
