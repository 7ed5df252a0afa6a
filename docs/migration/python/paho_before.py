"""What programs with Paho for Python look like. run.py runs them."""

import paho.mqtt.client as mqtt
import paho.mqtt.publish as publish
import paho.mqtt.subscribe as subscribe


def service(host, port, work):
    # <service>
    def on_connect(client, userdata, flags, reason_code, properties):
        client.subscribe("jobs/+", qos=1)  # again after each reconnect

    def on_message(client, userdata, message):
        result = work(message.payload)
        client.publish("results/7", result, qos=1)

    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2, client_id="worker-7", protocol=mqtt.MQTTv5
    )
    client.will_set("workers/7", "gone", qos=1, retain=True)
    client.on_connect = on_connect
    client.on_message = on_message
    client.connect(host, port)
    client.loop_forever()
    # </service>


def publish_one(client, reading):
    # <publish>
    info = client.publish("sensors/7/temp", reading, qos=1)
    info.wait_for_publish(timeout=30)
    if not info.is_published():
        raise TimeoutError  # it may still be sent
    # </publish>


def publishing(host, port):
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2, client_id="thermometer-7"
    )
    client.connect(host, port)
    client.loop_start()
    publish_one(client, b"21.5")
    client.disconnect()
    client.loop_stop()


def once(hostname, port):
    # <once>
    publish.single("sensors/7/unit", "C", qos=1, retain=True, hostname=hostname, port=port)
    message = subscribe.simple("sensors/7/unit", hostname=hostname, port=port)
    print(message.payload.decode())
    # </once>


def secure(host, ca):
    # <tls>
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.tls_set(ca_certs=ca)
    client.username_pw_set("device", "secret")
    client.connect(host, 8883)
    # </tls>
