export { logBytesIn } from "./storage/log-usage.js";
