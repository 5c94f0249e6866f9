package client

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// PropertySets are the properties that a user gave for each kind of packet.
type PropertySets struct {
	Connect, Publish, Subscribe, Unsubscribe, Disconnect, Will packet.Properties
}

type propertyKind byte

const (
	numberProperty propertyKind = iota
	textProperty
	binaryProperty
	pairProperty
)

// property describes one property by mosquitto's name for it.
type property struct {
	name     string
	has      packet.Has
	kind     propertyKind
	min, max uint32 // of numbers
	packets  string // which packets may carry it from a client
	number   func(*packet.Properties, uint32)
	text     func(*packet.Properties) *[]byte
}

// properties lists what a client may send, MQTT 5.0 table 2-4.
func properties() []property {
	type P = packet.Properties
	return []property{
		{name: "payload-format-indicator", has: packet.HasPayloadFormat, max: 1, packets: "publish will",
			number: func(p *P, n uint32) { p.PayloadFormat = byte(n) }},
		{name: "message-expiry-interval", has: packet.HasMessageExpiry, max: math.MaxUint32, packets: "publish will",
			number: func(p *P, n uint32) { p.MessageExpiry = n }},
		{name: "content-type", has: packet.HasContentType, kind: textProperty, packets: "publish will",
			text: func(p *P) *[]byte { return &p.ContentType }},
		{name: "response-topic", has: packet.HasResponseTopic, kind: textProperty, packets: "publish will",
			text: func(p *P) *[]byte { return &p.ResponseTopic }},
		{name: "correlation-data", has: packet.HasCorrelationData, kind: binaryProperty, packets: "publish will",
			text: func(p *P) *[]byte { return &p.CorrelationData }},
		{name: "topic-alias", has: packet.HasTopicAlias, min: 1, max: math.MaxUint16, packets: "publish",
			number: func(p *P, n uint32) { p.TopicAlias = uint16(n) }},
		{name: "subscription-identifier", has: packet.HasSubscriptionIdentifier, min: 1, max: maxRemaining, packets: "subscribe",
			number: func(p *P, n uint32) { p.SubscriptionIdentifiers = []uint32{n} }},
		{name: "session-expiry-interval", has: packet.HasSessionExpiry, max: math.MaxUint32, packets: "connect disconnect",
			number: func(p *P, n uint32) { p.SessionExpiry = n }},
		{name: "request-problem-information", has: packet.HasRequestProblem, max: 1, packets: "connect",
			number: func(p *P, n uint32) { p.RequestProblem = byte(n) }},
		{name: "request-response-information", has: packet.HasRequestResponse, max: 1, packets: "connect",
			number: func(p *P, n uint32) { p.RequestResponse = byte(n) }},
		{name: "receive-maximum", has: packet.HasReceiveMaximum, min: 1, max: math.MaxUint16, packets: "connect",
			number: func(p *P, n uint32) { p.ReceiveMaximum = uint16(n) }},
		{name: "topic-alias-maximum", has: packet.HasTopicAliasMaximum, max: math.MaxUint16, packets: "connect",
			number: func(p *P, n uint32) { p.TopicAliasMaximum = uint16(n) }},
		{name: "maximum-packet-size", has: packet.HasMaximumPacketSize, min: 1, max: math.MaxUint32, packets: "connect",
			number: func(p *P, n uint32) { p.MaximumPacketSize = n }},
		{name: "will-delay-interval", has: packet.HasWillDelay, max: math.MaxUint32, packets: "will",
			number: func(p *P, n uint32) { p.WillDelay = n }},
		{name: "reason-string", has: packet.HasReasonString, kind: textProperty, packets: "disconnect",
			text: func(p *P) *[]byte { return &p.ReasonString }},
		{name: "user-property", has: packet.HasUser, kind: pairProperty,
			packets: "connect publish subscribe unsubscribe disconnect will"},
	}
}

func findProperty(name string) (property, error) {
	for _, p := range properties() {
		if p.name == name {
			return p, nil
		}
	}
	return property{}, fmt.Errorf("unknown property %q", name)
}

// PropertyValues is how many values follow the name of a property: 1, or 2
// for a User Property. It is 1 for unknown names.
func PropertyValues(name string) int {
	if name == "user-property" {
		return 2
	}
	return 1
}

// Add reads one property as mosquitto's -D does: the packet, the property's
// name, its value or its name and value.
func (s *PropertySets) Add(packetName, name string, values []string) error {
	p, err := findProperty(name)
	if err != nil {
		return err
	}
	set := s.of(packetName)
	if set == nil {
		return fmt.Errorf("%q cannot carry properties: use connect, publish, subscribe, unsubscribe, disconnect or will", packetName)
	}
	if !slices.Contains(strings.Fields(p.packets), packetName) {
		return fmt.Errorf("property %s is not allowed for %s", name, packetName)
	}
	if len(values) != PropertyValues(name) {
		return fmt.Errorf("property %s needs %d value(s)", name, PropertyValues(name))
	}
	if set.Has&p.has != 0 && p.kind != pairProperty {
		return fmt.Errorf("property %s given twice for %s", name, packetName)
	}
	if err := p.set(set, values); err != nil {
		return fmt.Errorf("property %s: %w", name, err)
	}
	set.Has |= p.has
	return nil
}

func (s *PropertySets) of(packetName string) *packet.Properties {
	switch packetName {
	case "connect":
		return &s.Connect
	case "publish":
		return &s.Publish
	case "subscribe":
		return &s.Subscribe
	case "unsubscribe":
		return &s.Unsubscribe
	case "disconnect":
		return &s.Disconnect
	case "will":
		return &s.Will
	}
	return nil
}

func (p *property) set(to *packet.Properties, values []string) error {
	for _, v := range values {
		if len(v) > math.MaxUint16 {
			return fmt.Errorf("longer than 65535 bytes")
		}
		if p.kind != binaryProperty && !utf8.ValidString(v) {
			return fmt.Errorf("not UTF-8")
		}
	}
	switch p.kind {
	case pairProperty:
		to.User = append(to.User, packet.UserProperty{Name: []byte(values[0]), Value: []byte(values[1])})
	case textProperty, binaryProperty:
		*p.text(to) = []byte(values[0])
	default:
		n, err := strconv.ParseUint(values[0], 10, 32)
		if err != nil || n < uint64(p.min) || n > uint64(p.max) {
			return fmt.Errorf("%q must be a number from %d to %d", values[0], p.min, p.max)
		}
		p.number(to, uint32(n))
	}
	return nil
}
