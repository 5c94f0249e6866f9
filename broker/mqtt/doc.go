// Package mqtt is the vocabulary of dunlin: the words of the MQTT
// specifications as Go values. Message, QoS, Properties, ReasonCode,
// Subscription, Will and Error mean here exactly what they mean there.
//
// It holds no behavior beyond validation of its own values, imports nothing
// of ours, and may be imported by every package. Bytes on the wire belong to
// broker/packet, matching of topics to broker/topic.
package mqtt
