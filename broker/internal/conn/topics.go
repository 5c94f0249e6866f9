package conn

import (
	"unsafe"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// topics keeps the last Topic Names of a connection: a client that publishes
// to a few topics again and again costs no allocation, and what was found
// valid and granted once is not asked again.
type topics [8]known

// known is one Topic Name.
type known struct {
	name       string // as the client says it
	full       string // behind the listener's prefix
	generation uint64 // of the rights that granted was asked with
	granted    uint8  // one bit for each QoS and RETAIN
	memo       any    // see packet.Publication
}

// rememberMax bounds a remembered name, in bytes.
const rememberMax = 256

// find returns name, which is not empty, as a string that was remembered.
func (t *topics) find(name []byte) (string, bool) {
	if t == nil {
		return "", false
	}
	s := t[slot(name)].name
	return s, s == string(name)
}

// remember makes a string of a valid name and keeps it instead of another.
func (c *Conn) remember(name []byte) string {
	s := string(name)
	if len(s) > rememberMax {
		return s
	}
	if c.topics == nil {
		c.topics = new(topics)
		c.holdNames(int(unsafe.Sizeof(topics{})))
	}
	k := &c.topics[slot(name)]
	c.holdNames(len(s) - len(k.name))
	*k = known{name: s, full: c.cfg.TopicPrefix + s}
	return s
}

// known returns what is known about a name; nil if nothing is.
func (t *topics) known(name string) *known {
	if t == nil {
		return nil
	}
	if k := &t[slot(unsafe.Slice(unsafe.StringData(name), len(name)))]; k.name == name {
		return k
	}
	return nil
}

// grant is the bit of granted for one kind of PUBLISH.
func grant(qos mqtt.QoS, retain bool) uint8 {
	if retain {
		return 8 << qos
	}
	return 1 << qos
}

// slot is where a name belongs. Names of one client mostly differ at the end.
func slot(name []byte) int {
	n := len(name)
	return int(name[n-1]^name[n/2]<<1^byte(n)) % len(topics{})
}
