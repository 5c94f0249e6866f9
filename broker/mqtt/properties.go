package mqtt

import "slices"

// UserProperty is one User Property: a pair of UTF-8 strings, in order, not
// unique [MQTT-3.3.2-17], [MQTT-3.3.2-18].
type UserProperty struct{ Name, Value string }

// HeldProperty names the User Property of a message that another server held
// before it was asked for it, nobody knows since when.
const HeldProperty = "dunlin-held"

// Properties are the properties that travel with an Application Message from
// publisher to subscriber unaltered. The Message Expiry Interval is
// Message.Expires; Topic Alias and Subscription Identifier belong to one
// connection or one delivery and are not here.
type Properties struct {
	PayloadFormat   byte // Payload Format Indicator: 0 bytes, 1 UTF-8
	HasFormat       bool // PayloadFormat was present
	HasType         bool // ContentType was present, though it may be empty
	ContentType     string
	ResponseTopic   string
	CorrelationData []byte // nil: there was none
	User            []UserProperty
}

// Get returns the value of the first User Property called name.
func (p *Properties) Get(name string) (string, bool) {
	if p == nil {
		return "", false
	}
	for _, u := range p.User {
		if u.Name == name {
			return u.Value, true
		}
	}
	return "", false
}

// With returns a copy of p (which may be nil) with one more User Property at
// the end; p itself is shared and stays as it is.
func (p *Properties) With(name, value string) *Properties {
	var c Properties
	if p != nil {
		c = *p
	}
	c.User = append(c.User[:len(c.User):len(c.User)], UserProperty{name, value})
	return &c
}

func (p *Properties) size() int {
	if p == nil {
		return 0
	}
	n := len(p.ContentType) + len(p.ResponseTopic) + len(p.CorrelationData)
	for _, u := range p.User {
		n += len(u.Name) + len(u.Value)
	}
	return n
}

// Held reports whether the message has HeldProperty.
func (m *Message) Held() bool {
	return m.Properties != nil && slices.ContainsFunc(m.Properties.User, func(u UserProperty) bool { return u.Name == HeldProperty })
}
