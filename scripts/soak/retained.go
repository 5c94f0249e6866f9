package main

import (
	"fmt"
	"sync"
)

// kept is what the retained message of one topic may be: its only publisher
// has one stream.
type kept struct {
	stream *stream

	mu     sync.Mutex
	values []value // the last one acknowledged and all sent after it
}

type value struct {
	number uint64
	clear  bool // an empty payload
}

func (k *kept) sent(n uint64, clear bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.values = append(k.values, value{n, clear})
}

// acknowledged drops what the value n has replaced for good.
func (k *kept) acknowledged(n uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.values) > 0 && k.values[0].number < n {
		k.values = k.values[1:]
	}
}

// floor is the oldest number that a subscription made now may bring.
func (k *kept) floor() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.values) == 0 {
		return 0
	}
	return k.values[0].number
}

// judge compares with what a new subscriber got at the end; ok is false when it
// got nothing.
func (k *kept) judge(n uint64, ok bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.values) == 0 && !ok {
		return nil
	}
	for _, v := range k.values {
		if v.clear && !ok || !v.clear && ok && v.number == n {
			return nil
		}
	}
	if !ok {
		return fmt.Errorf("%s has no retained message, want one of %v", k.stream.topic, k.values)
	}
	return fmt.Errorf("%s has the retained message %d, want one of %v", k.stream.topic, n, k.values)
}
