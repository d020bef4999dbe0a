#!/bin/sh
# Starts a command and shows its output with grpcurl, which asks the server for its schema.
set -eu
address=${PROCMAN_ADDRESS:-127.0.0.1:7420}
service=procman.v1.ProcmanService

call() {
  grpcurl -plaintext -H "authorization: Bearer $(cat ~/.cache/procman/token)" \
    -d "$2" "$address" "$service/$1"
}

id=$(call Start '{"command": "sh", "args": ["-c", "echo step 1/1; exit 3"]}' |
  sed -n 's/^ *"id": "\([^"]*\)".*/\1/p')
echo "job $id"
# The bytes of the output are in base64, as always in the JSON of Protobuf.
call Attach "{\"id\": \"$id\", \"follow\": true}" | sed -n 's/^ *"data": "\([^"]*\)".*/\1/p' | base64 -d
call Wait "{\"id\": \"$id\"}"
