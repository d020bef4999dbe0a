"""Calls procman through grpcio, as JSON lines on stdin ask for it.

One line asks for one call: {"id", "method", "request", "metadata", "deadline"},
or leaves one: {"id", "leave": true}. Answers: {"id", "message"}, then
{"id", "done": true} or {"id", "error": {...}}.
"""

import json
import sys
import threading

import grpc
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2
from procman.v1 import procman_pb2

SERVICE = procman_pb2.DESCRIPTOR.services_by_name["ProcmanService"]
STREAMS = {"Attach", "Watch", "WatchJobs"}
output = threading.Lock()
calls = {}


def say(**answer):
    with output:
        print(json.dumps(answer), flush=True)


def described(error):
    reason = domain = None
    fields = []
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        for detail in status_pb2.Status.FromString(value).details:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info):
                reason, domain = info.reason, info.domain
            bad = error_details_pb2.BadRequest()
            if detail.Unpack(bad):
                fields += [violation.field for violation in bad.field_violations]
    return dict(code=error.code().name, message=error.details(), reason=reason, domain=domain, fields=fields)


def run(channel, ask):
    method = SERVICE.methods_by_name[ask["method"]]
    request_class = getattr(procman_pb2, method.input_type.name)
    response_class = getattr(procman_pb2, method.output_type.name)
    make = channel.unary_stream if ask["method"] in STREAMS else channel.unary_unary
    call = make(
        f"/{SERVICE.full_name}/{method.name}",
        request_serializer=request_class.SerializeToString,
        response_deserializer=response_class.FromString,
    )
    options = dict(metadata=[tuple(pair) for pair in ask["metadata"]], timeout=ask.get("deadline"))
    request = json_format.ParseDict(ask["request"], request_class())
    try:
        if ask["method"] in STREAMS:
            events = calls[ask["id"]] = call(request, **options)
            for event in events:
                say(id=ask["id"], message=json_format.MessageToDict(event))
        else:
            say(id=ask["id"], message=json_format.MessageToDict(call(request, **options)))
        say(id=ask["id"], done=True)
    except grpc.RpcError as error:
        say(id=ask["id"], error=described(error))


with grpc.insecure_channel(sys.argv[1]) as channel:
    for line in sys.stdin:
        ask = json.loads(line)
        if ask.get("leave"):
            if ask["id"] in calls:
                calls[ask["id"]].cancel()
            continue
        threading.Thread(target=run, args=(channel, ask), daemon=True).start()
