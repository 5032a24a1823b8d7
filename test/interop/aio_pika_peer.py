"""A program on aio-pika: `send URL QUEUE BODY…`, `receive URL QUEUE COUNT`, or `ask URL PROCEDURE BODY`, which prints the answer."""

import asyncio
import json
import sys
import uuid

import aio_pika

mode, url, queue, *rest = sys.argv[1:]


async def main():
    connection = await aio_pika.connect_robust(url)
    async with connection:
        channel = await connection.channel()
        if mode == "send":
            await channel.declare_queue(queue, durable=True)
            for body in rest:
                message = aio_pika.Message(body.encode(), content_type="text/plain", headers={"from": "aio-pika"})
                await channel.default_exchange.publish(message, queue)
        elif mode == "receive":
            declared = await channel.declare_queue(queue, durable=True)
            count = int(rest[0])
            async with declared.iterator(timeout=20) as messages:
                async for message in messages:
                    async with message.process():
                        headers = {k: v for k, v in message.headers.items() if isinstance(v, str)}
                        received = {"body": message.body.decode(), "contentType": message.content_type}
                        print(json.dumps({**received, "headers": headers, "hasId": message.message_id is not None}))
                    count -= 1
                    if count == 0:
                        break
        else:
            replies = await channel.declare_queue(exclusive=True)
            request = aio_pika.Message(
                rest[0].encode(),
                content_type="application/json",
                correlation_id=str(uuid.uuid4()),
                reply_to=replies.name,
            )
            await channel.default_exchange.publish(request, queue)
            answer = await replies.get(timeout=20, fail=False)
            while answer is None:
                await asyncio.sleep(0.02)
                answer = await replies.get(timeout=20, fail=False)
            print(json.dumps({"body": answer.body.decode(), "matches": answer.correlation_id == request.correlation_id}))


asyncio.run(asyncio.wait_for(main(), 60))
