export type * from "./contract/procman.js";
export { type ErrorReason, type FieldViolation, ProcmanError } from "./contract/errors.js";
export type * from "./contract/job.js";
export { keepLease } from "./contract/keep-lease.js";
export { run, type RunOptions } from "./contract/run.js";
export { Manager, type ManagerOptions } from "./manager.js";
