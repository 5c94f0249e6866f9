package bridge

import (
	"context"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Queue is the durable queue that a bridge empties. *broker.Queue satisfies it.
type Queue interface {
	Consumer
	Backlog // Remove: the other side has the entry, or it is given up
	Retainer
	// Withdraw is Drop of an entry that was never handed out; it reports whether
	// there was one.
	Withdraw(ctx context.Context, seq uint64, why mqtt.DropReason) (gone bool, err error)
}

// Consumer hands the entries out, in order, and hears what became of them.
type Consumer interface {
	// Take returns the next entry not yet handed out since the last Rewind; ok
	// is false when there is none now.
	Take(ctx context.Context) (e mqtt.Queued, ok bool, err error)
	// Ready receives after Take had none and there may be one.
	Ready() <-chan struct{}
	// Rewind makes Take hand out all entries not yet removed again. It is called
	// when a connection ends and when the next begins.
	Rewind()
	// Received records the PUBREC of the entries; durable when it returns.
	Received(ctx context.Context, seqs ...uint64) error
	// Acknowledged takes out entries that have arrived. A killed process may
	// have some hundred of them again.
	Acknowledged(ctx context.Context, seqs ...uint64) error
}

// Backlog is a queue that is looked at and edited, by who does not consume it.
type Backlog interface {
	// Put queues a message; durable when it returns nil. seq is 0 if there was
	// no room.
	Put(ctx context.Context, m mqtt.Message) (seq uint64, err error)
	// Each calls f for the entries behind the Seq after, in order, until f
	// returns false. f may call the queue, and what it is given may have gone
	// meanwhile.
	Each(after uint64, f func(*mqtt.Queued) bool)
	// Remove takes out entries that have arrived, Drop one that is given up;
	// durable when they return nil. One that is not there is no error.
	Remove(ctx context.Context, seqs ...uint64) error
	Drop(ctx context.Context, seq uint64, why mqtt.DropReason) error
	Stats() mqtt.QueueStats
}

// Retainer knows the retained messages of what is queued.
type Retainer interface {
	// Retained returns the topics that have a retained message, or had one
	// while entries waited.
	Retained() []string
	// Refresh queues the retained message of a topic again; when there is
	// none, the message that deletes it.
	Refresh(topic string)
}
