"""Calls procman through grpcio, as lines of JSON on stdin ask for it.

See driver-client.ts for what they say.
"""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2
from procman.v1 import procman_pb2

SERVICE = procman_pb2.DESCRIPTOR.services_by_name["ProcmanService"]
STREAMS = {"Attach", "Watch", "WatchJobs"}
output = threading.Lock()
calls = {}


def open_channel(address, ca=None, cert=None, key=None):
    if ca is None:
        return grpc.insecure_channel(address)
    pem = [path and open(path, "rb").read() for path in (ca, key, cert)]
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(*pem))


def say(**answer):
    with output:
        print(json.dumps(answer), flush=True)


def described(error):
    facts = dict(code=error.code().name, message=error.details(), fields=[])
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        for detail in status_pb2.Status.FromString(value).details:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info):
                facts.update(reason=info.reason, domain=info.domain, jobId=info.metadata.get("job_id"))
            bad = error_details_pb2.BadRequest()
            if detail.Unpack(bad):
                facts["fields"] += [violation.field for violation in bad.field_violations]
    return facts


def start(channel, ask):
    method = SERVICE.methods_by_name[ask["method"]]
    request_class = getattr(procman_pb2, method.input_type.name)
    response_class = getattr(procman_pb2, method.output_type.name)
    make = channel.unary_stream if ask["method"] in STREAMS else channel.unary_unary
    call = make(
        f"/{SERVICE.full_name}/{method.name}",
        request_serializer=request_class.SerializeToString,
        response_deserializer=response_class.FromString,
    )
    options = dict(metadata=list(ask["metadata"].items()), timeout=ask.get("deadline"))
    request = json_format.ParseDict(ask["request"], request_class())
    if ask["method"] in STREAMS:
        calls[ask["id"]] = call(request, **options)
    else:
        threads.submit(answer, ask["id"], lambda: call(request, **options))


def answer(id, receive):
    try:
        say(id=id, message=json_format.MessageToDict(receive()))
    except StopIteration:
        say(id=id, done=True)
    except grpc.RpcError as error:
        say(id=id, error=described(error))


with open_channel(**json.loads(sys.argv[1])) as channel, ThreadPoolExecutor(32) as threads:
    for line in sys.stdin:
        ask = json.loads(line)
        if "method" in ask:
            start(channel, ask)
        elif ask.get("next"):
            threads.submit(answer, ask["id"], calls[ask["id"]].__next__)
        else:
            calls[ask["id"]].cancel()
