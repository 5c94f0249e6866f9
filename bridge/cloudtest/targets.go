package cloudtest

import (
	"strings"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// The limits of well-known services, as far as a bridge meets them. They are
// written from what the services publish, and not from the profiles of package
// bridge, which are tested against them.

// AWS is AWS IoT Core (quotas "AWS IoT Core message broker and protocol").
func AWS() Limits {
	return Limits{
		Name: "aws-iot", Versions: []mqtt.Version{mqtt.V311, mqtt.V5}, NoBridgeBit: true, ClientID: 128,
		KeepAliveMax: 1200, Connects: 1, NoQoS2: true, MaximumQoS: 1, AnnounceQoS: true, ReceiveMaximum: 100,
		Payload: 128 << 10, TopicBytes: 256, TopicSlashes: 7, TopicFree: "$aws/rules/",
		Filters: 8, Subscriptions: 50, Messages: 100, Bytes: 512 << 10,
	}
}

// AzureIoTHub is the hub "hub" of Azure IoT Hub, which lets in a device that
// signs in with a shared access signature (or, with a password of nothing, by
// its certificate).
func AzureIoTHub(device string) Limits {
	return Limits{
		Name: "azure-iot-hub", Versions: []mqtt.Version{mqtt.V311}, NoBridgeBit: true, ClientID: 128, KeepAliveMax: 1177,
		Login: func(k *Connect) bool {
			user := "hub.azure-devices.net/" + k.ClientID + "/?api-version=2021-04-12"
			return k.ClientID == device && k.Username == user && (k.Password == "" || strings.HasPrefix(k.Password, "SharedAccessSignature sr="))
		},
		NoQoS2: true, MaximumQoS: 1, Retain: RetainIgnored, Payload: 256 << 10,
		Topics:    []string{"devices/" + device + "/messages/events/#", "$iothub/#"},
		Subscribe: []string{"devices/" + device + "/messages/devicebound/#", "$iothub/twin/res/#", "$iothub/methods/POST/#"}, Subscriptions: 5,
	}
}

// EventGrid is an Azure Event Grid namespace that keeps no retained messages.
func EventGrid() Limits {
	return Limits{
		Name: "azure-event-grid", Versions: []mqtt.Version{mqtt.V311, mqtt.V5}, NoBridgeBit: true, KeepAliveMax: 1160,
		Login: func(k *Connect) bool { return k.ClientID != "" && k.Username != "" }, NoUserProperties: true,
		NoQoS2: true, MaximumQoS: 1, AnnounceQoS: true, Retain: RetainCloses, AnnounceNoRetain: true, PacketSize: 512 << 10, NackCloses: true,
		InflightBytes: 64 << 10, Messages: 1000, Bytes: 1 << 20, ReceiveMaximum: 1000,
	}
}

// HiveMQCloud has a small Receive Maximum and insists on it.
func HiveMQCloud() Limits {
	return Limits{
		Name: "hivemq-cloud", ReceiveMaximum: 10,
		Login: func(k *Connect) bool { return k.Username != "" && k.Password != "" },
	}
}

// EMQXServerless is EMQX Cloud Serverless.
func EMQXServerless() Limits {
	return Limits{
		Name: "emqx-serverless", ClientID: 1024, Messages: 10, Subscriptions: 10, FilterLevels: 10, PacketSize: 1 << 20,
		Login: func(k *Connect) bool { return k.Username != "" && k.Password != "" },
	}
}

// ThingsBoard is ThingsBoard with its default payload limit.
func ThingsBoard() Limits {
	return Limits{
		Name: "thingsboard", NoBridgeBit: true, NoQoS2: true, MaximumQoS: 1, Retain: RetainIgnored, Payload: 65536,
		Login:     func(k *Connect) bool { return k.Username != "" },
		Topics:    []string{"v1/devices/me/#", "v1/gateway/#"},
		Subscribe: []string{"v1/devices/me/attributes", "v1/devices/me/rpc/request/+", "v1/gateway/attributes", "v1/gateway/rpc"},
	}
}

// Mosquitto is mosquitto 2.1 as it comes.
func Mosquitto() Limits {
	return Limits{Name: "mosquitto", PacketSize: 2_000_000, ReceiveMaximum: 20}
}

// NATS is a NATS server with JetStream: 3.1.1 alone, max_payload 1 MB.
func NATS() Limits {
	return Limits{Name: "nats", Versions: []mqtt.Version{mqtt.V311}, NoBridgeBit: true, Payload: 1 << 20}
}
