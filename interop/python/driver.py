"""Paho for Python, driven by lines of JSON on standard input. It answers each
with a line of JSON, and prints a line for each message that it receives."""

import base64
import json
import socket
import sys
import threading
from urllib.parse import urlparse

import paho.mqtt
import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCodes
from paho.mqtt.subscribeoptions import SubscribeOptions

PATIENCE = 60  # more than the suites wait
VERSIONS = {3: mqtt.MQTTv31, 4: mqtt.MQTTv311, 5: mqtt.MQTTv5}
output = threading.Lock()

# What this driver calls a property, and what Paho calls it.
CONNECT = {
    "expiry": "SessionExpiryInterval", "receiveMaximum": "ReceiveMaximum",
    "maximumPacketSize": "MaximumPacketSize", "topicAliasMaximum": "TopicAliasMaximum",
    "userProperties": "UserProperty",
}
WILL = {"delay": "WillDelayInterval"}
MESSAGE = {
    "contentType": "ContentType", "responseTopic": "ResponseTopic", "correlation": "CorrelationData",
    "messageExpiry": "MessageExpiryInterval", "payloadFormat": "PayloadFormatIndicator",
    "alias": "TopicAlias", "userProperties": "UserProperty", "subscriptionIdentifiers": "SubscriptionIdentifier",
}
CONNACK = {
    "assignedID": "AssignedClientIdentifier", "reasonString": "ReasonString", "userProperties": "UserProperty",
    "responseInformation": "ResponseInformation", "serverReference": "ServerReference",
}


def say(**line):
    with output:
        print(json.dumps(line), flush=True)


class Unsupported(Exception):
    """The library has no way to do this."""


class Failed(Exception):
    """The command failed with more to say than a text."""

    def __init__(self, text, **more):
        super().__init__(text)
        self.more = more


class Once:
    """A value that another thread brings."""

    def __init__(self):
        self.here = threading.Event()
        self.value = None

    def set(self, value):
        if not self.here.is_set():
            self.value = value
            self.here.set()

    def get(self):
        if not self.here.wait(PATIENCE):
            raise TimeoutError("no answer from the server")
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


class Waiting:
    """What the server has been asked, by packet identifier. An answer may come before
    the identifier is known here."""

    def __init__(self):
        self.lock = threading.Lock()
        self.open = {}

    def of(self, key):
        with self.lock:
            return self.open.setdefault(key, Once())

    def answered(self, key, value):
        self.of(key).set(value)

    def take(self, key):
        try:
            return self.of(key).get()
        finally:
            with self.lock:
                self.open.pop(key, None)

    def forget(self):
        with self.lock:
            self.open.clear()

    def failed(self, error):
        with self.lock:
            for once in self.open.values():
                once.set(error)


def number(code):
    return int(getattr(code, "value", code))


def numbers(codes):
    return [number(c) for c in (codes if isinstance(codes, (list, tuple)) else [codes])]


def properties_of(kind, names, values):
    properties = Properties(kind)
    for name, theirs in names.items():
        value = values.get(name)
        if value is None:
            continue
        if theirs == "UserProperty":
            value = [tuple(pair) for pair in value]
        elif theirs in ("CorrelationData", "AuthenticationData"):
            value = base64.b64decode(value)
        setattr(properties, theirs, value)
    return properties


def values_of(names, properties):
    values = {}
    for name, theirs in names.items():
        value = getattr(properties, theirs, None)
        if value is None:
            continue
        if theirs == "UserProperty":
            value = [list(pair) for pair in value]
        elif theirs == "CorrelationData":
            value = base64.b64encode(value).decode()
        elif theirs == "SubscriptionIdentifier" and not isinstance(value, list):
            value = [value]
        values[name] = value
    return values


def payload_of(c):
    if c.get("payloadBase64") is not None:
        return base64.b64decode(c["payloadBase64"])
    return (c.get("payload") or "").encode()


def text_of(c, name):
    """A topic or filter. A string of Python has code points, among them surrogates, but
    no other bytes."""
    if c.get(name + "Base64") is None:
        return c.get(name) or ""
    try:
        return base64.b64decode(c[name + "Base64"]).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise Unsupported("a string of Python does not hold these bytes") from None


class Driver:
    def __init__(self):
        self.client = None
        self.made = None  # what the client was made for
        self.connected = Once()
        self.waiting = Waiting()
        self.v5 = False
        self.reporting = threading.Lock()
        self.old = set()  # threads of clients that are gone
        threading.excepthook = self.thread_ended

    def thread_ended(self, args):
        """The library's own thread has ended with an exception."""
        if args.thread in self.old:
            return
        self.lost(None, "%s: %s" % (args.exc_type.__name__, args.exc_value))

    def lost(self, code, text):
        error = ConnectionError("connection lost: %s" % text)
        self.connected.set(error)
        self.waiting.failed(error)
        self.report(self.client, event="disconnected", error=text, **({} if code is None else {"code": code}))

    def report(self, client, **event):
        """Nothing comes of a client that is gone."""
        with self.reporting:
            if client is not None and client is self.client:
                say(**event)

    def make(self, c):
        """A new client of the library, unless this is the same session: the client has
        its state."""
        v5, url = c["version"] == 5, urlparse(c["url"])
        clean = None if v5 else bool(c.get("clean"))
        wanted = (c.get("id"), c["version"], clean, c.get("reconnect", False), url.scheme)
        if self.client is not None:
            self.client.loop_stop()
            if wanted == self.made and not c.get("clean"):
                return
        self.made, self.v5 = wanted, v5
        client = self.client = mqtt.Client(
            c.get("id") or "", clean_session=clean, protocol=VERSIONS[c["version"]],
            transport="websockets" if url.scheme in ("ws", "wss") else "tcp",
            reconnect_on_failure=bool(c.get("reconnect")))
        client.reconnect_delay_set(1, 1)
        client.on_connect = self.on_connect
        client.on_disconnect = self.on_disconnect
        client.on_message = self.on_message
        waiting = self.waiting = Waiting()
        client.on_publish = lambda client, data, mid: waiting.answered(("publish", mid), None)
        client.on_subscribe = lambda client, data, mid, granted, properties=None: waiting.answered(
            ("subscribe", mid), numbers(granted))
        client.on_unsubscribe = lambda client, data, mid, properties=None, codes=(): waiting.answered(
            ("unsubscribe", mid), numbers(codes))

    def on_connect(self, client, data, flags, code, properties=None):
        if client is not self.client:
            return
        answer = {"code": number(code), "present": bool(flags["session present"])}
        answer["properties"] = values_of(CONNACK, properties)
        if self.connected.here.is_set():
            self.report(client, event="connected", present=answer["present"])
        self.connected.set(answer)

    def on_disconnect(self, client, data, code, properties=None):
        if client is not self.client:
            return
        # For 5.0 a code of the server, an error of Paho, or 0 for its own DISCONNECT.
        if isinstance(code, ReasonCodes):
            self.lost(number(code), str(code))
        else:
            self.lost(None, mqtt.error_string(code))

    def on_message(self, client, data, m):
        self.report(client, event="message", topic=m.topic,
            payloadBase64=base64.b64encode(m.payload).decode(), qos=m.qos, retain=bool(m.retain), dup=bool(m.dup),
            properties=values_of(MESSAGE, getattr(m, "properties", None)))

    def connect(self, c):
        if c.get("autoAlias"):
            raise Unsupported("Paho for Python assigns no topic aliases")
        if c.get("auth"):
            raise Unsupported("Paho for Python knows no AUTH packet")
        self.make(c)
        self.connected = Once()
        self.waiting.forget()
        client, url = self.client, urlparse(c["url"])
        if url.scheme in ("ws", "wss"):
            client.ws_set_options(path=url.path or "/")
        client.username_pw_set(c.get("username"), c.get("password"))
        self.set_will(c.get("will"))
        more = {}
        if self.v5:
            properties = properties_of(PacketTypes.CONNECT, CONNECT, c)
            if c.get("requestResponseInformation"):
                properties.RequestResponseInformation = 1
            if c.get("noProblemInformation"):
                properties.RequestProblemInformation = 0
            more = {"clean_start": bool(c.get("clean")), "properties": properties}
        client.connect(url.hostname, url.port, keepalive=c.get("keepalive", 0), **more)
        client.loop_start()
        answer = self.connected.get()
        if answer["code"] != 0:
            raise Failed("refused with %d" % answer["code"], code=answer["code"], properties=answer["properties"])
        return answer

    def set_will(self, w):
        if not w:
            self.client.will_clear()
            return
        properties = None
        if self.v5:
            properties = properties_of(PacketTypes.WILLMESSAGE, {**WILL, **MESSAGE_OF_WILL}, {**w, **(w.get("properties") or {})})
        self.client.will_set(text_of(w, "topic"), payload_of(w), w.get("qos", 0), w.get("retain", False), properties)

    def checked(self, code):
        if code != mqtt.MQTT_ERR_SUCCESS:
            raise ConnectionError(mqtt.error_string(code))

    def publish(self, c):
        properties = None
        if self.v5:
            properties = properties_of(PacketTypes.PUBLISH, MESSAGE, c.get("properties") or {})
        info = self.client.publish(text_of(c, "topic"), payload_of(c), c.get("qos", 0), c.get("retain", False), properties)
        self.checked(info.rc)
        if c.get("wait"):
            self.waiting.take(("publish", info.mid))
        return {}

    def subscribe(self, c):
        filters = c["filters"]
        if not self.v5:
            code, mid = self.client.subscribe([(text_of(f, "filter"), f.get("qos", 0)) for f in filters])
        else:
            properties = properties_of(PacketTypes.SUBSCRIBE, {"identifier": "SubscriptionIdentifier"}, c)
            code, mid = self.client.subscribe([(text_of(f, "filter"), SubscribeOptions(
                f.get("qos", 0), bool(f.get("noLocal")), bool(f.get("retainAsPublished")), f.get("retainHandling", 0),
            )) for f in filters], properties=properties)
        self.checked(code)
        return {"codes": self.waiting.take(("subscribe", mid))}

    def unsubscribe(self, c):
        code, mid = self.client.unsubscribe([text_of(f, "filter") for f in c["filters"]])
        self.checked(code)
        return {"codes": self.waiting.take(("unsubscribe", mid))}

    def disconnect(self, c):
        if self.v5:
            properties = properties_of(PacketTypes.DISCONNECT, {"expiry": "SessionExpiryInterval"}, c)
            code = self.client.disconnect(ReasonCodes(PacketTypes.DISCONNECT, identifier=c.get("code") or 0), properties)
        else:
            code = self.client.disconnect()
        self.client.loop_stop()
        self.checked(code)
        return {}

    def ping(self, c):
        raise Unsupported("Paho for Python sends PINGREQ by itself only")

    def reauthenticate(self, c):
        raise Unsupported("Paho for Python knows no AUTH packet")

    def reset(self, c):
        with self.reporting:
            client, self.client = self.client, None
        self.old = set(threading.enumerate())
        if client is not None:
            if client.socket() is not None:
                client.socket().shutdown(socket.SHUT_RDWR)
            threading.Thread(target=client.loop_stop, daemon=True).start()
        return {}


MESSAGE_OF_WILL = {k: v for k, v in MESSAGE.items() if k not in ("alias", "subscriptionIdentifiers")}


def main():
    driver = Driver()
    say(event="hello", name="paho.mqtt.python", library="Paho for Python %s" % paho.mqtt.__version__,
        versions=[3, 4, 5], transports=["mqtt", "ws"], features=["reconnect"])
    for line in sys.stdin:
        command = json.loads(line)
        if command["op"] == "quit":
            say(ok=True)
            return
        try:
            say(ok=True, **getattr(driver, command["op"])(command))
        except Unsupported as err:
            say(ok=False, unsupported=True, error=str(err))
        except Failed as err:
            say(ok=False, error=str(err), **err.more)
        except Exception as err:  # whatever it is, the test wants to know
            say(ok=False, error="%s: %s" % (type(err).__name__, err))


main()
