export type * from "./core/api.js";
export { type ErrorReason, type FieldViolation, ProcmanError } from "./core/errors.js";
export type * from "./core/job.js";
export { Manager, type ManagerOptions } from "./manager.js";
