package bridge

import (
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// profiles is the table; each row says where it comes from. Numbers are those
// of the cheapest tier where tiers differ.
var profiles = []Profile{
	// AWS IoT Core: developer guide "MQTT" and "Protocols", quotas page "AWS
	// IoT Core message broker and protocol limits and quotas". A Basic Ingest
	// prefix does not count into topics. QoS 2 is never acknowledged; the
	// mosquitto bridge bit is refused; port 443 needs ALPN.
	{
		Name: "aws-iot", NoBridgeBit: true, Versions: []mqtt.Version{mqtt.V5, mqtt.V311}, TLS: true, ALPN: "x-amzn-mqtt-ca", NeedLogin: true,
		ClientID: 128, KeepAliveMax: 1200 * time.Second, LimitQoS: true, MaximumQoS: mqtt.AtLeastOnce,
		Payload: 128 << 10, TopicBytes: 256, Slashes: 7, FreePrefix: "$aws/rules/",
		Subscriptions: 50, NoIdentifiers: true, Messages: 100, Bytes: 512 << 10, InFlight: 100,
	},
	// Azure IoT Hub: "Communicate with an IoT hub using MQTT", "IoT Hub quotas
	// and throttling". One connection a device; fixed topics; RETAIN becomes a
	// property; QoS 2 closes the connection. Inputs are of modules, from the hub of
	// an IoT Edge device (azure-iot-sdk-node, "Azure IoT Modules API").
	{
		Name: "azure-iot-hub", NoBridgeBit: true, Versions: []mqtt.Version{mqtt.V311}, TLS: true, NeedLogin: true,
		Username: "{host}/{client}/?api-version=2021-04-12", ClientID: 128, KeepAliveMax: 1177 * time.Second,
		LimitQoS: true, MaximumQoS: mqtt.AtLeastOnce, StripRetain: true, Payload: 256 << 10,
		Publish:   []string{"devices/{identity}/messages/events/#", "$iothub/#"},
		Subscribe: []string{"devices/{identity}/messages/devicebound/#", "devices/{identity}/messages/inputs/#", "$iothub/twin/res/#", "$iothub/methods/POST/#"}, Subscriptions: 5,
		Messages: 100,
	},
	// Azure Event Grid namespaces: "MQTT support", "Quotas and limits". An
	// acknowledgement with a failure ends the connection; more than 64 KiB in
	// flight too; namespaces older than 2025 close over RETAIN.
	{
		Name: "azure-event-grid", NoBridgeBit: true, Versions: []mqtt.Version{mqtt.V5, mqtt.V311}, TLS: true, NeedUsername: true, NeedLogin: true,
		ClientID: 128, KeepAliveMax: 1160 * time.Second, LimitQoS: true, MaximumQoS: mqtt.AtLeastOnce, StripRetain: true,
		PacketSize: 512 << 10, NoIdentifiers: true, NoNack: true, Messages: 1000, Bytes: 1 << 20, InFlight: 1000, InFlightBytes: 64 << 10,
	},
	// HiveMQ Cloud: FAQ and "Quick start". Everything of 5.0; a small Receive
	// Maximum, told in CONNACK and insisted on; 3.1.1 cannot be told.
	{
		Name: "hivemq-cloud", TLS: true, NeedUsername: true, CertNames: true, NeedLogin: true, InFlight: 10,
	},
	// EMQX Cloud Serverless: "Serverless plan quotas and limits". 10 publishes
	// a second for each client; 10 subscriptions; 10 levels.
	{
		Name: "emqx-serverless", TLS: true, NeedUsername: true, NeedLogin: true, ClientID: 1024, PacketSize: 1 << 20,
		Subscriptions: 10, FilterLevels: 10, Messages: 10,
	},
	// ThingsBoard: "MQTT device API", "MQTT gateway API", NETTY_MAX_PAYLOAD_SIZE
	// of thingsboard.yml. The user name is the access token, or a
	// certificate names the device; fixed topics.
	{
		Name: "thingsboard", NoBridgeBit: true, NeedUsername: true, CertNames: true, LimitQoS: true, MaximumQoS: mqtt.AtLeastOnce, StripRetain: true, Payload: 65536,
		Publish: []string{"v1/devices/me/#", "v1/gateway/#"},
		Subscribe: []string{"v1/devices/me/attributes", "v1/devices/me/attributes/response/+", "v1/devices/me/rpc/request/+",
			"v1/devices/me/rpc/response/+", "v1/gateway/attributes", "v1/gateway/attributes/response", "v1/gateway/rpc"},
	},
	// mosquitto: mosquitto.conf(5) of 2.1. max_packet_size is 2,000,000 bytes,
	// max_inflight_messages 20.
	{
		Name: "mosquitto", PacketSize: 2_000_000, InFlight: 20,
	},
	// NATS server 2.10 and later with JetStream: docs.nats.io "MQTT". 3.1.1
	// alone; max_payload is 1 MiB, the subject included; max_ack_pending 100. It
	// closes over a space in a topic. What docs/nats.md says of QoS 2 is in
	// mqttPipelineReleaseAndPubComp of 2.15.2.
	{
		Name: "nats", NoBridgeBit: true, Versions: []mqtt.Version{mqtt.V311}, PacketSize: 1 << 20, InFlight: 100, NoSpace: true,
	},
}
