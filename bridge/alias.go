package bridge

import "strings"

// aliases are the Topic Aliases of one connection: over a slow or metered link a
// topic can be most of a packet. They belong to whoever sends.
type aliases struct {
	most    int // 0: the server takes none
	numbers map[string]uint16
	topics  []string // by number, from 1
	misses  int
	turn    int
	fresh   string // what the packet that was encoded last gives number to
	number  uint16
}

const (
	aliasMost  = 64 // whatever the server takes: they are memory
	aliasShort = 6  // a topic this short gains nothing
	// aliasMisses is how many messages of other topics take an alias away from
	// one: those that come often have theirs in the end.
	aliasMisses = 16
)

// of returns the alias for a topic, 0 for none; known says that the server knows
// what it stands for. A new one counts when used is called.
func (a *aliases) of(topic string) (number uint16, known bool) {
	a.number = 0
	if a.most == 0 || len(topic) <= aliasShort {
		return 0, false
	}
	if n := a.numbers[topic]; n > 0 {
		return n, true
	}
	if len(a.topics) < a.most {
		a.fresh, a.number = topic, uint16(len(a.topics)+1)
	} else if a.misses++; a.misses%aliasMisses == 0 {
		a.fresh, a.number = topic, uint16(a.turn%a.most+1)
	}
	return a.number, false
}

// used is told that the packet of the last of has left.
func (a *aliases) used() {
	n := int(a.number)
	if n == 0 {
		return
	}
	a.number = 0
	topic := strings.Clone(a.fresh) // it may lie in memory that is used again
	switch {
	case a.numbers == nil:
		a.numbers = map[string]uint16{}
		fallthrough
	case n > len(a.topics):
		a.topics = append(a.topics, topic)
	default:
		delete(a.numbers, a.topics[n-1])
		a.topics[n-1] = topic
		a.turn++
	}
	a.numbers[topic] = uint16(n)
}
