package brokertest

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

var typeNames = [...]string{
	packet.CONNECT: "CONNECT", packet.CONNACK: "CONNACK", packet.PUBLISH: "PUBLISH", packet.PUBACK: "PUBACK",
	packet.PUBREC: "PUBREC", packet.PUBREL: "PUBREL", packet.PUBCOMP: "PUBCOMP", packet.SUBSCRIBE: "SUBSCRIBE",
	packet.SUBACK: "SUBACK", packet.UNSUBSCRIBE: "UNSUBSCRIBE", packet.UNSUBACK: "UNSUBACK", packet.PINGREQ: "PINGREQ",
	packet.PINGRESP: "PINGRESP", packet.DISCONNECT: "DISCONNECT", packet.AUTH: "AUTH",
}

// Parse reads a packet in the words of wire scripts, "PUBLISH topic=a/b
// payload=1 qos=1 id=7". What is not named is zero.
func Parse(line string) (*packet.View, error) {
	words := strings.Fields(line)
	v := new(packet.View)
	for t, name := range typeNames {
		if len(words) > 0 && name == words[0] {
			v.Type = packet.Type(t)
		}
	}
	if v.Type == 0 {
		return nil, fmt.Errorf("no packet type: %q", line)
	}
	if v.Type == packet.CONNECT {
		v.Connect.CleanStart = true
	}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		if err := set(v, key, value); err != nil {
			return nil, fmt.Errorf("%s: %w", w, err)
		}
	}
	return v, nil
}

// set understands one key of every packet; numbers may be 0x...
func set(v *packet.View, key, value string) error {
	n64, numErr := strconv.ParseUint(value, 0, 32)
	n := uint32(n64)
	p, c, flag := &v.Properties, &v.Connect, n != 0
	text := []byte(value)
	if f, ok := numbers(v)[key]; ok {
		if numErr != nil {
			return numErr
		}
		f(n)
		return nil
	}
	if setWord(v, key, text) {
		return nil
	}
	switch key {
	case "clean":
		c.CleanStart = flag
	case "will":
		topic, payload, _ := strings.Cut(value, ":")
		c.HasWill, c.WillTopic, c.WillPayload = true, []byte(topic), []byte(payload)
	case "wretain":
		c.WillRetain = flag
	case "dup":
		v.Publish.Dup = flag
	case "retain":
		v.Publish.Retain = flag
	case "sp":
		v.SessionPresent = flag
	case "sid":
		p.Has |= packet.HasSubscriptionIdentifier
		for s := range strings.SplitSeq(value, ",") {
			id, err := strconv.ParseUint(s, 0, 32)
			if err != nil {
				return err
			}
			p.SubscriptionIdentifiers = append(p.SubscriptionIdentifiers, uint32(id))
		}
	case "up":
		name, val, _ := strings.Cut(value, ":")
		p.Has |= packet.HasUser
		p.User = append(p.User, packet.UserProperty{Name: []byte(name), Value: []byte(val)})
	case "rcs":
		for s := range strings.SplitSeq(value, ",") {
			code, err := strconv.ParseUint(s, 0, 8)
			if err != nil {
				return err
			}
			v.Reasons = append(v.Reasons, mqtt.ReasonCode(code))
		}
	case "f":
		return setFilter(v, value)
	default:
		return fmt.Errorf("unknown word")
	}
	return nil
}

// setWord sets the properties and fields that are text.
func setWord(v *packet.View, key string, text []byte) bool {
	p, c := &v.Properties, &v.Connect
	switch key {
	case "cid":
		c.ClientID = text
	case "user":
		c.HasUsername, c.Username = true, text
	case "pass":
		c.HasPassword, c.Password = true, text
	case "topic":
		v.Publish.Topic = text
	case "payload":
		v.Publish.Payload = text
	case "ct":
		p.Has, p.ContentType = p.Has|packet.HasContentType, text
	case "rt":
		p.Has, p.ResponseTopic = p.Has|packet.HasResponseTopic, text
	case "cd":
		p.Has, p.CorrelationData = p.Has|packet.HasCorrelationData, text
	case "method":
		p.Has, p.AuthMethod = p.Has|packet.HasAuthMethod, text
	case "data":
		p.Has, p.AuthData = p.Has|packet.HasAuthData, text
	case "reason":
		p.Has, p.ReasonString = p.Has|packet.HasReasonString, text
	case "wup":
		name, val, _ := bytes.Cut(text, []byte(":"))
		c.Will.Has |= packet.HasUser
		c.Will.User = append(c.Will.User, packet.UserProperty{Name: name, Value: val})
	default:
		return false
	}
	return true
}

// numbers are the words that set a number.
func numbers(v *packet.View) map[string]func(uint32) {
	p, c := &v.Properties, &v.Connect
	has := func(h packet.Has, f func(uint32)) func(uint32) {
		return func(n uint32) { p.Has |= h; f(n) }
	}
	return map[string]func(uint32){
		"id":      func(n uint32) { v.ID = uint16(n) },
		"rc":      func(n uint32) { v.Reason = mqtt.ReasonCode(n) },
		"qos":     func(n uint32) { v.Publish.QoS = mqtt.QoS(n) },
		"ka":      func(n uint32) { c.KeepAlive = uint16(n) },
		"wqos":    func(n uint32) { c.WillQoS = mqtt.QoS(n) },
		"wd":      func(n uint32) { c.Will.Has |= packet.HasWillDelay; c.Will.WillDelay = n },
		"wexpiry": func(n uint32) { c.Will.Has |= packet.HasMessageExpiry; c.Will.MessageExpiry = n },
		"expiry":  has(packet.HasMessageExpiry, func(n uint32) { p.MessageExpiry = n }),
		"pf":      has(packet.HasPayloadFormat, func(n uint32) { p.PayloadFormat = byte(n) }),
		"se":      has(packet.HasSessionExpiry, func(n uint32) { p.SessionExpiry = n }),
		"ska":     has(packet.HasServerKeepAlive, func(n uint32) { p.ServerKeepAlive = uint16(n) }),
		"rp":      has(packet.HasRequestProblem, func(n uint32) { p.RequestProblem = byte(n) }),
		"rri":     has(packet.HasRequestResponse, func(n uint32) { p.RequestResponse = byte(n) }),
		"rr":      has(packet.HasRequestResponse, func(n uint32) { p.RequestResponse = byte(n) }),
		"rm":      has(packet.HasReceiveMaximum, func(n uint32) { p.ReceiveMaximum = uint16(n) }),
		"tam":     has(packet.HasTopicAliasMaximum, func(n uint32) { p.TopicAliasMaximum = uint16(n) }),
		"ta":      has(packet.HasTopicAlias, func(n uint32) { p.TopicAlias = uint16(n) }),
		"mps":     has(packet.HasMaximumPacketSize, func(n uint32) { p.MaximumPacketSize = n }),
	}
}

// setFilter reads filter@qos with options behind it: "a/+@1,nl,rap,rh2".
func setFilter(v *packet.View, value string) error {
	name, options, _ := strings.Cut(value, "@")
	f := packet.Filter{Filter: []byte(name)}
	for o := range strings.SplitSeq(options, ",") {
		switch o {
		case "":
		case "0", "1", "2":
			f.QoS = mqtt.QoS(o[0] - '0')
		case "nl":
			f.NoLocal = true
		case "rap":
			f.RetainAsPublished = true
		case "rh1", "rh2":
			f.RetainHandling = mqtt.RetainHandling(o[2] - '0')
		default:
			return fmt.Errorf("unknown subscription option %q", o)
		}
	}
	v.Filters = append(v.Filters, f)
	return nil
}

// unhex reads bytes as scripts write them: hex digits and 'text', spaces where
// one likes.
func unhex(s string) (b []byte, err error) {
	for i, part := range strings.Split(s, "'") {
		if i%2 == 1 {
			b = append(b, part...)
			continue
		}
		digits, err := hex.DecodeString(strings.ReplaceAll(part, " ", ""))
		if err != nil {
			return nil, err
		}
		b = append(b, digits...)
	}
	return b, nil
}
