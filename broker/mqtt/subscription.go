package mqtt

// RetainHandling says when retained messages are sent for a subscription
// [MQTT-3.3.1-9], [MQTT-3.3.1-10], [MQTT-3.3.1-11].
type RetainHandling byte

// The values of Retain Handling.
const (
	SendRetained      RetainHandling = 0 // at every subscribe
	SendRetainedIfNew RetainHandling = 1 // only if the subscription did not exist
	DoNotSendRetained RetainHandling = 2
)

// Subscription is one Topic Filter with its Subscription Options and
// Subscription Identifier (1 to 268435455; 0 means none).
type Subscription struct {
	Filter            string
	QoS               QoS // Maximum QoS
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    RetainHandling
	Identifier        uint32
}
