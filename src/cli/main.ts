#!/usr/bin/env node
import { processCli } from "./process-cli.js";
import { runCli } from "./run-cli.js";

// Not process.exit: what is still to be written is written first.
process.exitCode = await runCli(process.argv.slice(2), processCli());
