"""Paho for Python, driven by lines of JSON on standard input. It answers each
with a line of JSON, and prints a line for each message that it receives."""

import json
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PATIENCE = 20
VERSIONS = {3: mqtt.MQTTv31, 4: mqtt.MQTTv311, 5: mqtt.MQTTv5}
output = threading.Lock()


def say(**line):
    with output:
        print(json.dumps(line), flush=True)


class Once:
    """A value that another thread brings."""

    def __init__(self):
        self.here = threading.Event()
        self.value = None

    def set(self, value):
        self.value = value
        self.here.set()

    def get(self):
        if not self.here.wait(PATIENCE):
            raise TimeoutError("no answer from the server")
        return self.value


class Driver:
    def __init__(self):
        self.client = None
        self.connected = None
        self.subscribed = None

    def connect(self, c):
        v5 = c["version"] == 5
        clean = {} if v5 else {"clean_session": c["clean"]}
        self.client = mqtt.Client(c["id"], protocol=VERSIONS[c["version"]], **clean)
        self.connected = Once()
        self.subscribed = {}
        self.client.on_connect = lambda client, data, flags, code, properties=None: self.connected.set(
            (int(code.value if v5 else code), flags["session present"]))
        self.client.on_subscribe = lambda client, data, mid, granted, properties=None: self.answered(mid, granted)
        self.client.on_message = lambda client, data, m: say(
            event="message", topic=m.topic, payload=m.payload.decode(), qos=m.qos, retain=bool(m.retain))
        if c.get("will"):
            w = c["will"]
            self.client.will_set(w["topic"], w["payload"], w["qos"], w["retain"])
        more = {}
        if v5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = c["expiry"]
            more = {"clean_start": c["clean"], "properties": properties}
        self.client.connect(c["host"], c["port"], keepalive=30, **more)
        self.client.loop_start()
        code, present = self.connected.get()
        if code != 0:
            raise ConnectionError("refused with %d" % code)
        return {"present": bool(present)}

    def answered(self, mid, granted):
        self.subscribed.setdefault(mid, Once()).set(granted)

    def subscribe(self, c):
        code, mid = self.client.subscribe(c["filter"], c["qos"])
        if code != mqtt.MQTT_ERR_SUCCESS:
            raise ConnectionError(mqtt.error_string(code))
        granted = self.subscribed.setdefault(mid, Once()).get()[0]
        return {"granted": int(getattr(granted, "value", granted))}

    def publish(self, c):
        info = self.client.publish(c["topic"], c["payload"], c["qos"], c["retain"])
        info.wait_for_publish(PATIENCE)
        if not info.is_published():
            raise TimeoutError("not acknowledged")
        return {}

    def disconnect(self, c):
        self.client.disconnect()
        self.client.loop_stop()
        return {}


driver = Driver()
for line in sys.stdin:
    command = json.loads(line)
    try:
        say(ok=True, **getattr(driver, command["op"])(command))
    except Exception as err:  # whatever it is, the test wants to know
        say(ok=False, error="%s: %s" % (type(err).__name__, err))
