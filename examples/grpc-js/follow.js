// Starts a command and shows its output; exits as the command did.
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { create } from "@bufbuild/protobuf";
import { credentials, makeClientConstructor, Metadata } from "@grpc/grpc-js";
import {
  AttachRequestSchema,
  procmanGrpcDefinition,
  StartRequestSchema,
  Status,
} from "procman/grpc";

const [, , command, ...args] = process.argv;
const address = process.env.PROCMAN_ADDRESS ?? "127.0.0.1:7420";
const metadata = new Metadata();
const token = readFileSync(`${homedir()}/.cache/procman/token`, "utf8").trim();
metadata.set("authorization", `Bearer ${token}`);

const Procman = makeClientConstructor(procmanGrpcDefinition, "ProcmanService");
const procman = new Procman(address, credentials.createInsecure());
procman.start(create(StartRequestSchema, { command, args }), metadata, (error, answer) => {
  if (error) throw error;
  const { id } = answer.job;
  const stream = procman.attach(create(AttachRequestSchema, { id, follow: true }), metadata);
  stream.on("data", ({ event }) => {
    if (event.case === "chunk") process.stdout.write(event.value.data);
    if (event.case !== "ended") return;
    const { status, exitCode } = event.value.job;
    console.log(`${Status[status]} with exit code ${exitCode}`);
    process.exitCode = exitCode;
    procman.close();
  });
});
