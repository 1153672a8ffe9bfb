"""Sends completed transactions and waits until each is stored. The whole of what a sender has to know.

    python send.py 127.0.0.1:50051 "$TOKEN" sandbox-hmrc [how many]
"""
import sys
import time
import uuid

import grpc

from performance.v1 import collector_pb2 as pb
from performance.v1.collector_pb2_grpc import CollectorStub

RETRYABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED)


def completed(service_id):
    """A transaction that has just been completed online. The id is yours: a retry carries the same one."""
    step = pb.TransactionStep(stage=pb.STAGE_COMPLETED, channel=pb.CHANNEL_DIGITAL, duration_ms=93_000)
    now_ms = int(time.time() * 1000)
    return pb.Event(event_id=str(uuid.uuid4()), service_id=service_id, occurred_at_ms=now_ms, transaction=step)


def send(collector, token, events, tries=10):
    """Sends up to 1,000 events until each is accepted or rejected, and yields (event, result) for each of them."""
    metadata = [("authorization", f"Bearer {token}")]
    for attempt in range(tries):
        wait_ms = min(200 * 2**attempt, 5_000)
        try:
            results = collector.Publish(pb.PublishRequest(events=events), metadata=metadata, timeout=20).results
        except grpc.RpcError as error:
            if error.code() not in RETRYABLE:
                raise
            wait_ms = int(dict(error.trailing_metadata() or ()).get("retry-after-ms", wait_ms))
        else:
            answered = list(zip(events, results))
            yield from ((e, r) for e, r in answered if r.WhichOneof("outcome") != "retry")
            events = [e for e, r in answered if r.WhichOneof("outcome") == "retry"]
            if not events:
                return
        time.sleep(wait_ms / 1000)
    raise TimeoutError(f"{len(events)} events are not known to be stored; send them again later with the same ids")


if __name__ == "__main__":
    address, token, service_id, count = (sys.argv[1:] + ["1"])[:4]
    events, accepted = [completed(service_id) for _ in range(int(count))], 0
    with grpc.insecure_channel(address) as channel:
        for first in range(0, len(events), 1_000):
            for event, result in send(CollectorStub(channel), token, events[first : first + 1_000]):
                print(event.event_id, " ".join(str(result).split()))
                accepted += result.WhichOneof("outcome") == "accepted"
    sys.exit(0 if accepted == len(events) else 1)
