"""Runs a function of paho_before.py: run.py NAME HOST PORT

Paho 1.6, which Debian 12 has, knows no versions of callbacks. With MQTT 5 its callbacks
get what those of VERSION2 get, as far as paho_before.py uses them.
"""

import sys

import paho.mqtt.client as mqtt

if not hasattr(mqtt, "CallbackAPIVersion"):

    class CallbackAPIVersion:
        VERSION2 = 2

    class Client(mqtt.Client):
        def __init__(self, *version, **named):
            super().__init__(**named)

    mqtt.CallbackAPIVersion, mqtt.Client = CallbackAPIVersion, Client

import paho_before  # noqa: E402: it needs what is above

name, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
if name == "service":
    paho_before.service(host, port, bytes.upper)
else:
    getattr(paho_before, name)(host, port)
