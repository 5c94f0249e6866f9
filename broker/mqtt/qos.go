package mqtt

// QoS is the Quality of Service of a message or the Maximum QoS of a
// subscription: 0, 1 or 2 [MQTT-3.3.1-4].
type QoS byte

// The three levels of delivery.
const (
	AtMostOnce  QoS = 0
	AtLeastOnce QoS = 1
	ExactlyOnce QoS = 2
)

// Valid reports whether q is 0, 1 or 2.
func (q QoS) Valid() bool { return q <= ExactlyOnce }
