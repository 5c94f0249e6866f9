package mqtt

import "time"

// Queued is one entry of a durable Queue as its consumer sees it. The entry
// is the state of the transfer: queued, handed out (Sent > 0), received by the
// other side (Received), removed.
type Queued struct {
	// Seq orders the entries of one queue and names this one; it is never
	// used again, also not after a restart.
	Seq     uint64
	Message Message
	At      time.Time // when the message was queued
	// Sent counts how often the entry was handed out before; a resend on a
	// resumed session carries DUP=1 [MQTT-3.3.1-1].
	Sent int
	// Received is set once the other side's PUBREC was recorded: it owns the
	// message, only PUBREL and PUBCOMP are left [MQTT-4.3.3-4].
	Received bool
	Before   bool // queued before this process began
}

// QueueStats describes a Queue at one moment.
type QueueStats struct {
	Messages int           // entries not yet removed, in-flight ones included
	Bytes    int64         // their size
	InFlight int           // handed out and not yet removed
	Oldest   time.Duration // age of the first entry; 0 when empty
	Accepted uint64        // entries ever accepted
	Removed  uint64        // entries acknowledged by the consumer
	Dropped  uint64        // entries given up, the sum of Drops
	Drops    Drops         // by why
}

// DropReason says why an entry of a queue was given up.
type DropReason uint8

// The reasons.
const (
	DropFull     DropReason = iota // no room
	DropExpired                    // its Message Expiry Interval has passed
	DropAged                       // older than the queue keeps
	DropReplaced                   // a newer value of its topic took its place
	DropSampled                    // thinned out
	DropUnwanted                   // the consumer has no use for it
	DropDead                       // the destination refuses it for good
	DropLost                       // it was on a page of the disk that cannot be read
	dropReasons
)

func (r DropReason) String() string {
	return [...]string{"full", "expired", "aged", "replaced", "sampled", "unwanted", "dead", "lost"}[r]
}

// Loss reports whether nobody meant it: it was not thinned out as the
// configuration says, or deleted by a person.
func (r DropReason) Loss() bool { return r != DropReplaced && r != DropSampled && r != DropUnwanted }

// Drops counts entries that were given up, by DropReason.
type Drops [dropReasons]uint64

// Total is their sum.
func (d *Drops) Total() (n uint64) {
	for _, v := range d {
		n += v
	}
	return n
}

// Lost is the sum of those that are losses.
func (d *Drops) Lost() (n uint64) {
	for r, v := range d {
		if DropReason(r).Loss() {
			n += v
		}
	}
	return n
}

// Origin names a QoS 2 message that came from another server: the session with
// it, and the Packet Identifier that the server gave.
type Origin struct {
	Session string
	ID      uint16
}
