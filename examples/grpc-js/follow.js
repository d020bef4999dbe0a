// Starts a command and shows its output; exits as the command did.
import { homedir } from "node:os";
import { create } from "@bufbuild/protobuf";
import { credentials, makeClientConstructor } from "@grpc/grpc-js";
import {
  AttachRequestSchema,
  procmanGrpcDefinition,
  StartRequestSchema,
  Status,
} from "procman/grpc";

const [, , command, ...args] = process.argv;
const stateDir = process.env.PROCMAN_STATE_DIR || `${homedir()}/.cache/procman`;

const Procman = makeClientConstructor(procmanGrpcDefinition, "ProcmanService");
const procman = new Procman(`unix:${stateDir}/procman.sock`, credentials.createInsecure());
procman.start(create(StartRequestSchema, { command, args }), (error, answer) => {
  if (error) throw error;
  const { id } = answer.job;
  const stream = procman.attach(create(AttachRequestSchema, { id, follow: true }));
  stream.on("data", ({ event }) => {
    if (event.case === "chunk") process.stdout.write(event.value.data);
    if (event.case !== "ended") return;
    const { status, exitCode } = event.value.job;
    console.log(`${Status[status]} with exit code ${exitCode}`);
    process.exitCode = exitCode;
    procman.close();
  });
});
