package broker_test

import (
	"testing"
	"testing/synctest"

	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// A client that is wrong right behind its CONNECT was accepted all the same.
func TestMalformedPacketBehindConnect(t *testing.T) {
	connect := packet.View{Type: packet.CONNECT, Connect: packet.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte("c")}}
	both := append(packet.Append(nil, mqtt.V5, &connect), 0, 0)
	for range 20 { // it is a race
		synctest.Test(t, func(t *testing.T) {
			// MQTT-3.2.0-2: one CONNACK only. MQTT-4.13.1-1: the reason comes as DISCONNECT.
			c := brokertest.New(t).Client(mqtt.V5)
			c.SendBytes(both)
			c.Expect("CONNACK rc=0x00 ...")
			c.Expect("DISCONNECT rc=0x81 ...")
			c.ExpectClosed()
		})
	}
}
