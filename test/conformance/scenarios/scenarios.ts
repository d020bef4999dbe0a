import { CALL_SCENARIOS } from "./call-scenarios.js";
import { ERROR_SCENARIOS } from "./error-scenarios.js";
import { JOB_SCENARIOS } from "./job-scenarios.js";
import { OUTPUT_SCENARIOS } from "./output-scenarios.js";
import type { Scenario } from "./scenario.js";

/** In the order of the table. */
export const SCENARIOS: readonly Scenario[] = [
  ...JOB_SCENARIOS,
  ...OUTPUT_SCENARIOS,
  ...CALL_SCENARIOS,
  ...ERROR_SCENARIOS,
];
