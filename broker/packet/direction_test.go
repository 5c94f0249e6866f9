package packet

import (
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

func TestDirections(t *testing.T) {
	with := func(typ Type, r mqtt.ReasonCode, h Has) View {
		return View{Type: typ, Reason: r, Properties: Properties{Has: h}}
	}
	for _, tc := range []struct {
		name           string
		p              View
		client, server bool
	}{
		{"CONNECT", with(CONNECT, 0, 0), true, false},
		{"CONNACK", with(CONNACK, 0, 0), false, true},
		{"PUBLISH", with(PUBLISH, 0, HasTopicAlias), true, true},
		{"MQTT-3.3.4-6 PUBLISH with a Subscription Identifier", with(PUBLISH, 0, HasSubscriptionIdentifier), false, true},
		{"PUBACK", with(PUBACK, 0, 0), true, true},
		{"SUBSCRIBE", with(SUBSCRIBE, 0, 0), true, false},
		{"SUBACK", with(SUBACK, 0, 0), false, true},
		{"UNSUBSCRIBE", with(UNSUBSCRIBE, 0, 0), true, false},
		{"UNSUBACK", with(UNSUBACK, 0, 0), false, true},
		{"PINGREQ", with(PINGREQ, 0, 0), true, false},
		{"PINGRESP", with(PINGRESP, 0, 0), false, true},
		{"DISCONNECT", with(DISCONNECT, 0, 0), true, true},
		{"DISCONNECT with will", with(DISCONNECT, mqtt.DisconnectWithWill, 0), true, false},
		{"DISCONNECT taken over", with(DISCONNECT, mqtt.SessionTakenOver, 0), false, true},
		{"DISCONNECT with Server Reference", with(DISCONNECT, 0, HasServerReference), false, true},
		{"MQTT-3.14.2-2 DISCONNECT with Session Expiry Interval", with(DISCONNECT, 0, HasSessionExpiry), true, false},
		{"AUTH Success", with(AUTH, 0, 0), false, true},
		{"AUTH continue", with(AUTH, mqtt.ContinueAuthentication, 0), true, true},
		{"AUTH again", with(AUTH, mqtt.ReAuthenticate, 0), true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.p.FromClient(); (err == nil) != tc.client {
				t.Errorf("from a client: %v", err)
			}
			if err := tc.p.FromServer(); (err == nil) != tc.server {
				t.Errorf("from a server: %v", err)
			}
		})
	}
}
