package conn

import (
	"strings"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// Refusals of what is asked often; made once.
var (
	errTopicLimits    = mqtt.Errorf(mqtt.TopicNameInvalid, "", "the topic is longer or deeper than the server takes")
	errUserProperties = mqtt.Errorf(mqtt.QuotaExceeded, "", "more than %d User Properties, or more than %d bytes of them", maxUserProperties, maxUserPropertiesSize)
	errPayloadFormat  = mqtt.Errorf(mqtt.PayloadFormatInvalid, "", "the payload is not the UTF-8 it says it is")
)

// Features are what clients of a listener may use.
type Features struct {
	MaxQoS                  mqtt.QoS
	Retain                  bool
	Wildcard                bool
	Shared                  bool
	SubscriptionIdentifiers bool
	// CheckPayload holds payloads to their Payload Format Indicator.
	CheckPayload bool
	// ResponseInformation is the answer to Request Response Information, with
	// {client} for the Client Identifier; empty: none.
	ResponseInformation string
}

// judge says why a PUBLISH to name is not routed; nil lets it pass. The client
// gets the reason in the acknowledgement and may go on. memo is nil for a name
// that is not remembered.
func (c *Conn) judge(name string) (full string, memo *any, _ *mqtt.Error) {
	v := &c.view
	if v.Properties.Has != 0 {
		if tooManyUserProperties(&v.Properties) {
			return "", nil, errUserProperties
		}
		if c.cfg.Features.CheckPayload && !payloadFits(&v.Properties, v.Publish.Payload) {
			return "", nil, errPayloadFormat
		}
	}
	kept, generation := c.topics.known(name), c.cfg.Rights.Load()
	k := kept
	if k == nil {
		k = &known{name: name, full: c.cfg.TopicPrefix + name}
	} else {
		memo = &kept.memo
	}
	if k.generation != generation {
		k.generation, k.granted = generation, 0
	}
	bit := grant(v.Publish.QoS, v.Publish.Retain)
	if k.granted&bit != 0 {
		return k.full, memo, nil
	}
	if err := c.fits(name); err != nil {
		return "", nil, err
	}
	if err := c.cfg.Router.Admit(c, k.full, v.Publish.QoS, v.Publish.Retain); err != nil {
		return "", nil, err
	}
	k.granted |= bit
	return k.full, memo, nil
}

// available checks a PUBLISH against what CONNACK said the server can do. A
// client that does not care is not worth talking to.
func (c *Conn) available(p *packet.Publish) error {
	f := &c.cfg.Features
	switch {
	case p.QoS > f.MaxQoS:
		return mqtt.Errorf(mqtt.QoSNotSupported, "MQTT-3.2.2-11", "QoS %d, Maximum QoS %d", p.QoS, f.MaxQoS)
	case p.Retain && !f.Retain:
		return mqtt.Errorf(mqtt.RetainNotSupported, "MQTT-3.2.2-14", "RETAIN, and retained messages are off")
	}
	return nil
}

// fits applies the limits on topics.
func (c *Conn) fits(name string) *mqtt.Error {
	l := &c.cfg.Limits
	if len(name) > l.TopicLength || strings.Count(name, "/") >= l.TopicLevels {
		return errTopicLimits
	}
	return nil
}

func tooManyUserProperties(p *packet.Properties) bool {
	size := 0
	for _, u := range p.User {
		size += len(u.Name) + len(u.Value)
	}
	return len(p.User) > maxUserProperties || size > maxUserPropertiesSize
}

// payloadFits holds a Payload Format Indicator of 1 to its word (3.3.2.3.2).
func payloadFits(p *packet.Properties, payload []byte) bool {
	return p.Has&packet.HasPayloadFormat == 0 || p.PayloadFormat == 0 || utf8.Valid(payload)
}
