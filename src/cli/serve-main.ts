/*
 * The bundle of the server: `procman serve` is its own command line, and other words that
 * come to it, such as `procman --state-dir DIR serve`, have it run the server.
 */

export { main } from "./main.js";
export { runServer } from "./run-server.js";
