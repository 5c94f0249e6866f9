package bridge

import (
	"context"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Lane ranks the messages of a route. Each lane has a Queue of its own, so that
// none waits behind another; within a lane the order is that of the queue.
type Lane byte

// The lanes.
const (
	Live    Lane = iota // what is worth most while it is fresh
	Alarm               // goes before everything else
	History             // takes one turn in five while live messages wait
	LaneCount
)

func (l Lane) String() string { return [LaneCount]string{"live", "alarm", "history"}[l] }

// lanes are the queues of a bridge behind the face of one: an entry's Seq
// holds its lane in the lowest two bits. Since 4 divides the number of Packet
// Identifiers, those of two lanes are apart as well.
type lanes struct {
	queues [LaneCount]Queue // nil where no route needs one

	// The sender's own.
	dry  [LaneCount]bool // Take had nothing
	turn int             // live entries since the last of history
}

// liveTurns is how many live entries go before one of history when both wait.
const liveTurns = 4

const laneBits = 2

func laneOf(seq uint64) Lane { return Lane(seq & (1<<laneBits - 1)) }

// take hands out the next entry of the lanes that open says may send; alarm
// first, then live and history in turns. ok is false when there is none.
func (q *lanes) take(ctx context.Context, open func(Lane) bool) (e mqtt.Queued, ok bool, err error) {
	order := [LaneCount]Lane{Alarm, Live, History}
	if q.turn >= liveTurns {
		order = [LaneCount]Lane{Alarm, History, Live}
	}
	for _, lane := range order {
		if q.queues[lane] == nil || q.dry[lane] || !open(lane) {
			continue
		}
		if e, ok, err = q.queues[lane].Take(ctx); err != nil {
			return e, false, err
		}
		if ok {
			q.count(lane)
			e.Seq = e.Seq<<laneBits | uint64(lane)
			return e, true, nil
		}
		q.dry[lane] = true
	}
	return mqtt.Queued{}, false, nil
}

func (q *lanes) count(lane Lane) {
	switch lane {
	case Live:
		q.turn = min(q.turn+1, liveTurns)
	case History:
		q.turn = 0
	}
}

// ready receives when the lane may have an entry again; call wet then.
func (q *lanes) ready(lane Lane) <-chan struct{} {
	if q.queues[lane] == nil {
		return nil
	}
	return q.queues[lane].Ready()
}

func (q *lanes) wet(lane Lane) { q.dry[lane] = false }

func (q *lanes) of(seq uint64) (Queue, uint64) { return q.queues[laneOf(seq)], seq >> laneBits }

// received records the PUBREC of entries.
func (q *lanes) received(ctx context.Context, seqs []uint64) error {
	return q.each(seqs, func(queue Queue, own []uint64) error { return queue.Received(ctx, own...) })
}

// drop gives up an entry.
func (q *lanes) drop(ctx context.Context, seq uint64, why mqtt.DropReason) error {
	queue, n := q.of(seq)
	return queue.Drop(ctx, n, why)
}

// remove takes out entries that the server has.
func (q *lanes) remove(ctx context.Context, seqs []uint64) error {
	return q.each(seqs, func(queue Queue, own []uint64) error { return queue.Remove(ctx, own...) })
}

// acknowledged is remove that gathers what it writes.
func (q *lanes) acknowledged(ctx context.Context, seqs []uint64) error {
	return q.each(seqs, func(queue Queue, own []uint64) error { return queue.Acknowledged(ctx, own...) })
}

// each calls f with the entries of each lane, as its queue knows them.
func (q *lanes) each(seqs []uint64, f func(queue Queue, own []uint64) error) error {
	own := make([]uint64, 0, 32)
	for lane, queue := range q.queues {
		own = own[:0]
		for _, seq := range seqs {
			if laneOf(seq) == Lane(lane) {
				own = append(own, seq>>laneBits)
			}
		}
		if len(own) > 0 {
			if err := f(queue, own); err != nil {
				return err
			}
		}
	}
	return nil
}

// rewind makes take hand out all entries again. Only the sender calls it, or
// nobody is sending.
func (q *lanes) rewind() {
	for lane, queue := range q.queues {
		if queue != nil {
			queue.Rewind()
			q.dry[lane] = false
		}
	}
}

// stats adds up the lanes; Oldest is that of the oldest.
func (q *lanes) stats() mqtt.QueueStats {
	var sum mqtt.QueueStats
	for _, queue := range q.queues {
		if queue == nil {
			continue
		}
		s := queue.Stats()
		sum.Messages += s.Messages
		sum.Bytes += s.Bytes
		sum.InFlight += s.InFlight
		sum.Oldest = max(sum.Oldest, s.Oldest)
		sum.Accepted += s.Accepted
		sum.Removed += s.Removed
		sum.Dropped += s.Dropped
		for why, n := range s.Drops {
			sum.Drops[why] += n
		}
	}
	return sum
}
