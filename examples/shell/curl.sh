#!/bin/sh
# Starts a command and follows it with curl alone: Connect's JSON over HTTP/1.1.
# Exits as the command did.
set -eu
socket=${PROCMAN_STATE_DIR:-$HOME/.cache/procman}/procman.sock
service=http://localhost/procman.v1.ProcmanService

call() {
  curl -sS --unix-socket "$socket" "$service/$1" -H 'Content-Type: application/json' -d "$2"
}

# The value of one field, where no text of the answer looks like it.
field() {
  sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p"
}

# The messages of a stream come in envelopes: a byte of flags, four of the length, JSON.
stream() {
  printf "\\0\\0\\0\\0\\$(printf %03o ${#2})%s" "$2" |
    curl -sSN --unix-socket "$socket" "$service/$1" \
      -H 'Content-Type: application/connect+json' --data-binary @- |
    stdbuf -o0 tr '\0' '\n'
}

id=$(call Start '{"command": "sh", "args": ["-c", "for i in 1 2 3 4 5; do echo step $i/5; sleep 0.2; done; exit 3"]}' | field id)
echo "job $id"
stream Watch "{\"id\":\"$id\"}" |
  LC_ALL=C sed -nu 's/.*"line":{"stream":"[A-Z_]*","text":"\([^"]*\)".*/\1/p'
code=$(call Wait "{\"id\":\"$id\"}" | field exitCode)
echo "ended with exit code $code"
exit "$code"
