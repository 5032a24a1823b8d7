"""A program on pika: `send URL QUEUE BODY…`, or `receive URL QUEUE COUNT`, which prints one JSON text a line."""

import json
import sys

import pika

mode, url, queue, *rest = sys.argv[1:]
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.queue_declare(queue, durable=True)
if mode == "send":
    channel.confirm_delivery()
    for body in rest:
        channel.basic_publish("", queue, body.encode(), mandatory=True)
else:
    count = int(rest[0])
    for method, properties, body in channel.consume(queue, inactivity_timeout=20):
        if method is None:
            sys.exit("no message came")
        received = {"body": body.decode(), "contentType": properties.content_type}
        received["headers"] = {k: v for k, v in (properties.headers or {}).items() if isinstance(v, str)}
        received["hasId"] = properties.message_id is not None
        print(json.dumps(received))
        channel.basic_ack(method.delivery_tag)
        count -= 1
        if count == 0:
            break
    channel.cancel()
connection.close()
