"""What programs with mqttproto look like."""

import ssl

from mqttproto import QoS
from mqttproto.async_client import AsyncMQTTClient
from mqttproto.async_broker import AsyncMQTTBroker


async def service(work):
    # <service>
    async with AsyncMQTTClient("localhost", 1883, client_id="worker-7") as client:
        async with client.subscribe("jobs/+", maximum_qos=QoS.AT_LEAST_ONCE) as messages:
            async for message in messages:
                result = work(message.payload)
                await client.publish("results/7", result, qos=QoS.AT_LEAST_ONCE)
    # </service>


async def secure(ca):
    # <tls>
    context = ssl.create_default_context(cafile=ca)
    async with AsyncMQTTClient("example.com", ssl=context, username="device", password="secret") as client:
        await client.publish("sensors/7/temp", "21.5", qos=QoS.EXACTLY_ONCE)
    # </tls>


async def serve():
    # <broker>
    broker = AsyncMQTTBroker(("localhost", 1883))
    await broker.serve()
    # </broker>
