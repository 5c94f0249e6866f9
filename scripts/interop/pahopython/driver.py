"""Drives paho-mqtt (Python) for the interop suite: commands on standard input,
answers and events on standard output, one JSON object per line. What they mean
is written in ../remote_test.go. For paho-mqtt 1.6 and 2."""

import base64
import json
import socket
import sys
import threading
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

PATIENCE = 10  # seconds
VERSIONS = {3: mqtt.MQTTv31, 4: mqtt.MQTTv311, 5: mqtt.MQTTv5}

# In JSON, in a Properties object.
PROPERTIES = {
    "payloadFormat": "PayloadFormatIndicator",
    "messageExpiry": "MessageExpiryInterval",
    "contentType": "ContentType",
    "responseTopic": "ResponseTopic",
}

clients = {}
output = threading.Lock()


def say(what):
    with output:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


def properties_to(p):
    if p is None:
        return None
    out = Properties(PacketTypes.PUBLISH)
    for name, theirs in PROPERTIES.items():
        if name in p:
            setattr(out, theirs, p[name])
    if "correlationData" in p:
        out.CorrelationData = base64.b64decode(p["correlationData"])
    if "user" in p:
        out.UserProperty = [tuple(pair) for pair in p["user"]]
    return out


def properties_from(p):
    if p is None or p.isEmpty():
        return None
    out = {name: getattr(p, theirs) for name, theirs in PROPERTIES.items() if hasattr(p, theirs)}
    if hasattr(p, "CorrelationData"):
        out["correlationData"] = base64.b64encode(p.CorrelationData).decode()
    if hasattr(p, "UserProperty"):
        out["user"] = p.UserProperty
    if hasattr(p, "SubscriptionIdentifier"):
        out["subscriptionIdentifiers"] = p.SubscriptionIdentifier
    return out


class Client:
    def __init__(self, o):
        self.name, self.version = o["client"], o["version"]
        self.changed = threading.Condition()
        self.connected = None  # (code, session present)
        self.granted = {}  # by Packet Identifier
        self.unsubscribed = set()
        self.mqtt = self.make(o, urlsplit(o["url"]))

    def make(self, o, url):
        arguments = {
            "client_id": o["id"],
            "protocol": VERSIONS[self.version],
            "transport": "websockets" if url.scheme in ("ws", "wss") else "tcp",
            "reconnect_on_failure": False,
        }
        if hasattr(mqtt, "CallbackAPIVersion"):
            arguments["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION1
        if self.version < 5:
            arguments["clean_session"] = not o.get("keep", False)
        c = mqtt.Client(**arguments)
        c.on_connect, c.on_disconnect = self.on_connect, self.on_disconnect
        c.on_message, c.on_subscribe, c.on_unsubscribe = self.on_message, self.on_subscribe, self.on_unsubscribe
        if url.scheme in ("mqtts", "wss"):
            c.tls_set(o["ca"], o.get("cert") or None, o.get("key") or None)
        if url.scheme in ("ws", "wss"):
            c.ws_set_options(path=url.path)
        if o.get("user"):
            c.username_pw_set(o["user"], o["password"])
        if o.get("will"):
            w = o["will"]
            c.will_set(w["topic"], base64.b64decode(w.get("payload", "")), w["qos"], w["retain"])
        if o.get("silent"):
            c._send_puback = lambda mid: mqtt.MQTT_ERR_SUCCESS  # 1.6 has no other way not to acknowledge
        return c

    def connect(self, o):
        url = urlsplit(o["url"])
        arguments = {}
        if self.version == 5:
            arguments["clean_start"] = not o.get("keep", False)
            arguments["properties"] = Properties(PacketTypes.CONNECT)
            if o.get("keep"):
                arguments["properties"].SessionExpiryInterval = o["expiry"]
        self.mqtt.connect(url.hostname, url.port, keepalive=30, **arguments)
        self.mqtt.loop_start()
        self.wait(lambda: self.connected)
        code, present = self.connected
        if code != 0:
            raise RuntimeError("CONNACK with %s" % code)
        return {"present": present, "id": o["id"]}

    def wait(self, ready):
        with self.changed:
            if not self.changed.wait_for(ready, PATIENCE):
                raise TimeoutError("no answer within %d s" % PATIENCE)

    def on_connect(self, _client, _data, flags, code, _properties=None):
        with self.changed:
            self.connected = (getattr(code, "value", code), bool(flags["session present"]))
            self.changed.notify_all()

    def on_disconnect(self, _client, _data, code, _properties=None):
        value = getattr(code, "value", code)
        say({"event": "end", "client": self.name, "reason": value if value >= 0x80 else 0})

    def on_message(self, _client, _data, m):
        say({
            "event": "message", "client": self.name, "topic": m.topic,
            "payload": base64.b64encode(m.payload).decode(),
            "qos": m.qos, "retain": bool(m.retain), "dup": bool(m.dup),
            "properties": properties_from(getattr(m, "properties", None)),
        })

    def on_subscribe(self, _client, _data, mid, codes, _properties=None):
        with self.changed:
            self.granted[mid] = getattr(codes[0], "value", codes[0])
            self.changed.notify_all()

    def on_unsubscribe(self, _client, _data, mid, *_rest):
        with self.changed:
            self.unsubscribed.add(mid)
            self.changed.notify_all()

    def publish(self, o):
        info = self.mqtt.publish(o["topic"], base64.b64decode(o.get("payload", "")), o["qos"], o["retain"], properties_to(o.get("properties")))
        info.wait_for_publish(PATIENCE)
        if not info.is_published():
            raise TimeoutError("not acknowledged")

    def stream(self, o):
        infos = [self.mqtt.publish(o["topic"], str(n), o["qos"]) for n in range(o["count"])]
        for info in infos:
            info.wait_for_publish(PATIENCE)

    def subscribe(self, o):
        if self.version < 5:
            _, mid = self.mqtt.subscribe(o["filter"], o["qos"])
        else:
            options = SubscribeOptions(o["qos"], o["noLocal"], o["retainAsPublished"], o["retainHandling"])
            properties = Properties(PacketTypes.SUBSCRIBE)
            if o["subscriptionIdentifier"]:
                properties.SubscriptionIdentifier = o["subscriptionIdentifier"]
            _, mid = self.mqtt.subscribe(o["filter"], options=options, properties=properties)
        self.wait(lambda: mid in self.granted)
        return {"granted": self.granted[mid]}

    def unsubscribe(self, o):
        _, mid = self.mqtt.unsubscribe(o["filter"])
        self.wait(lambda: mid in self.unsubscribed)

    def disconnect(self, _o):
        self.mqtt.disconnect()
        self.mqtt.loop_stop()

    def cut(self, _o):
        self.mqtt.socket().shutdown(socket.SHUT_RDWR)


def work(o):
    if o["command"] == "connect":
        clients[o["client"]] = Client(o)
    return getattr(clients[o["client"]], o["command"])(o) or {}


def main():
    for line in sys.stdin:
        o = json.loads(line)
        try:
            say({"answer": o["number"], **work(o)})
        except Exception as e:  # pylint: disable=broad-except
            say({"answer": o["number"], "error": "%s: %s" % (type(e).__name__, e)})


main()
