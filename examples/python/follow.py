"""Starts a command and follows it, with its progress; exits as the command did.

It goes on where it was when the connection is lost or the server restarts.
"""

import os
import sys
import time

import grpc
from procman.v1 import procman_pb2 as pb
from procman.v1.procman_pb2_grpc import ProcmanServiceStub

STATE_DIR = os.environ.get("PROCMAN_STATE_DIR") or os.path.expanduser("~/.cache/procman")


def main(command, *args):
    with grpc.insecure_channel(f"unix://{STATE_DIR}/procman.sock") as channel:
        procman = ProcmanServiceStub(channel)
        job = procman.Start(pb.StartRequest(command=command, args=args)).job
        print(f"job {job.id} is process {job.pid}", flush=True)
        ended = follow(procman, job.id)
        print(f"{pb.Status.Name(ended.status)} with exit code {ended.exit_code}")
        return ended.exit_code


def follow(procman, job_id):
    request = pb.WatchRequest(id=job_id)
    while True:
        try:
            for event in procman.Watch(request):
                kind = event.WhichOneof("event")
                if kind == "line":
                    show(event.line)
                    remember(request, event.line)
                elif kind == "ended":
                    return event.ended.job
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
            print("the connection is lost; trying again", flush=True)
            time.sleep(0.5)


def show(line):
    percent = f"{line.progress.percent:3.0f}%" if line.progress.HasField("percent") else "    "
    print(f"{percent} | {line.text}", flush=True)


def remember(request, line):
    """Where to go on from."""
    if line.stream == pb.STREAM_STDOUT:
        request.stdout_offset = line.next_offset
    else:
        request.stderr_offset = line.next_offset


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
