package brokertest

import (
	"fmt"
	"strings"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// Render writes a packet of a server in the words of wire scripts, always in
// the same order. Zero values are left out, except where a packet would say
// nothing.
func Render(v *packet.View) string {
	var b strings.Builder
	b.WriteString(typeNames[v.Type])
	word := func(key string, format string, value any) { fmt.Fprintf(&b, " %s="+format, key, value) }
	if v.Type == packet.CONNACK {
		word("sp", "%d", bit(v.SessionPresent))
	}
	if v.ID != 0 {
		word("id", "%d", v.ID)
	}
	if v.Type == packet.CONNACK || v.Type == packet.DISCONNECT || v.Reason != 0 {
		word("rc", "0x%02x", byte(v.Reason))
	}
	if v.Type == packet.PUBLISH {
		renderPublish(&v.Publish, word)
	}
	if len(v.Reasons) > 0 {
		word("rcs", "%s", renderCodes(v.Reasons))
	}
	renderProperties(&v.Properties, word)
	return b.String()
}

func renderPublish(p *packet.Publish, word func(string, string, any)) {
	word("topic", "%s", p.Topic)
	word("payload", "%s", p.Payload)
	word("qos", "%d", p.QoS)
	if p.Dup {
		word("dup", "%d", 1)
	}
	if p.Retain {
		word("retain", "%d", 1)
	}
}

func renderProperties(p *packet.Properties, word func(string, string, any)) {
	number := func(h packet.Has, key string, n uint32) {
		if p.Has&h != 0 {
			word(key, "%d", n)
		}
	}
	text := func(h packet.Has, key string, s []byte) {
		if p.Has&h != 0 {
			word(key, "%s", s)
		}
	}
	number(packet.HasMessageExpiry, "expiry", p.MessageExpiry)
	number(packet.HasPayloadFormat, "pf", uint32(p.PayloadFormat))
	number(packet.HasSessionExpiry, "se", p.SessionExpiry)
	number(packet.HasServerKeepAlive, "ska", uint32(p.ServerKeepAlive))
	number(packet.HasReceiveMaximum, "rm", uint32(p.ReceiveMaximum))
	number(packet.HasTopicAliasMaximum, "tam", uint32(p.TopicAliasMaximum))
	number(packet.HasTopicAlias, "ta", uint32(p.TopicAlias))
	number(packet.HasMaximumPacketSize, "mps", p.MaximumPacketSize)
	number(packet.HasMaximumQoS, "mq", uint32(p.MaximumQoS))
	number(packet.HasRetainAvailable, "ra", uint32(p.RetainAvailable))
	number(packet.HasWildcardAvailable, "wildcard", uint32(p.WildcardAvailable))
	number(packet.HasSubIDAvailable, "sids", uint32(p.SubIDAvailable))
	number(packet.HasSharedAvailable, "shared", uint32(p.SharedAvailable))
	text(packet.HasResponseInformation, "ri", p.ResponseInformation)
	text(packet.HasServerReference, "sref", p.ServerReference)
	text(packet.HasAuthMethod, "method", p.AuthMethod)
	text(packet.HasAuthData, "data", p.AuthData)
	text(packet.HasContentType, "ct", p.ContentType)
	text(packet.HasResponseTopic, "rt", p.ResponseTopic)
	text(packet.HasCorrelationData, "cd", p.CorrelationData)
	if p.Has&packet.HasAssignedClientID != 0 {
		word("assigned", "%s", "yes")
	}
	if p.Has&packet.HasReasonString != 0 {
		word("reason", "%s", "yes")
	}
	for _, u := range p.User {
		word("up", "%s", fmt.Sprintf("%s:%s", u.Name, u.Value))
	}
	if len(p.SubscriptionIdentifiers) > 0 {
		word("sid", "%s", strings.ReplaceAll(strings.Trim(fmt.Sprint(p.SubscriptionIdentifiers), "[]"), " ", ","))
	}
}

func renderCodes(codes []mqtt.ReasonCode) string {
	words := make([]string, len(codes))
	for i, c := range codes {
		words[i] = fmt.Sprintf("0x%02x", byte(c))
	}
	return strings.Join(words, ",")
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Compare returns an error unless got, a rendered packet, is what want says:
// the same words in any order, or, when want ends in "...", at least these.
// "key=*" takes any value.
func Compare(want, got string) error {
	words := strings.Fields(want)
	has := make(map[string]string)
	for _, w := range strings.Fields(got)[1:] {
		key, value, _ := strings.Cut(w, "=")
		has[key] += value
	}
	fail := fmt.Errorf("received %s\n    want %s", got, want)
	if len(words) == 0 || words[0] != strings.Fields(got)[0] {
		return fail
	}
	words = words[1:]
	open := len(words) > 0 && words[len(words)-1] == "..."
	if open {
		words = words[:len(words)-1]
	}
	wanted := make(map[string]string)
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		wanted[key] += value
	}
	for key, value := range wanted {
		if v, ok := has[key]; !ok || value != "*" && v != value {
			return fail
		}
	}
	if !open && len(wanted) != len(has) {
		return fail
	}
	return nil
}
