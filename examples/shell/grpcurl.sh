#!/bin/sh
# Starts a command and shows its output with grpcurl, which asks the server for its schema.
set -eu
# "unix://" needs grpcurl 1.9, and versions before that the authority.
address=unix://${PROCMAN_STATE_DIR:-$HOME/.cache/procman}/procman.sock
service=procman.v1.ProcmanService

call() {
  grpcurl -plaintext -authority localhost -d "$2" "$address" "$service/$1"
}

id=$(call Start '{"command": "sh", "args": ["-c", "echo step 1/1; exit 3"]}' |
  sed -n 's/^ *"id": "\([^"]*\)".*/\1/p')
echo "job $id"
# The bytes of the output are in base64, as always in the JSON of Protobuf.
call Attach "{\"id\": \"$id\", \"follow\": true}" | sed -n 's/^ *"data": "\([^"]*\)".*/\1/p' | base64 -d
call Wait "{\"id\": \"$id\"}"
