package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

const (
	maxWaiting  = 16             // checks that wait for the slot
	cacheSize   = 1024           // passwords that were right lately
	cacheFor    = 24 * time.Hour // as long as a right password is remembered
	freeAtLeast = 4 << 10        // KiB of argon2id from which memory is returned to the system
	freeShare   = 20             // at most one part in so many of the time goes into that
)

// oven checks passwords, one at a time: a hash is made to be expensive, and
// two at a time would take twice the memory. After a power cut all devices
// come back at once, so a password that was right is remembered under a key
// that ends with the process.
type oven struct {
	slot     chan struct{} // holds one value while a check runs
	waiting  atomic.Int32
	refused  atomic.Uint64 // checks that found the line full
	nextFree time.Time     // owned by the slot

	key   [sha256.Size]byte
	cache struct {
		sync.Mutex
		right map[[sha256.Size]byte]time.Time
	}
}

func newOven() *oven {
	o := &oven{slot: make(chan struct{}, 1)}
	rand.Read(o.key[:])
	o.cache.right = map[[sha256.Size]byte]time.Time{}
	return o
}

// run waits for the slot and calls work. The error is ServerBusy: the line is
// full, or ctx ended.
func (o *oven) run(ctx context.Context, work func()) error {
	if o.waiting.Add(1) > maxWaiting+1 { // one of them is not waiting
		o.waiting.Add(-1)
		o.refused.Add(1)
		return mqtt.Errorf(mqtt.ServerBusy, "", "%d clients wait for their password check", maxWaiting)
	}
	defer o.waiting.Add(-1)
	select {
	case o.slot <- struct{}{}:
	case <-ctx.Done():
		o.refused.Add(1)
		return mqtt.Errorf(mqtt.ServerBusy, "", "the password check came too late")
	}
	defer func() { <-o.slot }()
	work()
	return nil
}

// check reports whether the password of c proves s. The user is part of the
// key of what is remembered. While memory is short, only what is remembered is
// proved by argon2id: it would take more.
func (o *oven) check(ctx context.Context, c *Connect, s *secret) (ok bool, err error) {
	password := c.Password
	key := o.remember(c.Username, s, password)
	if o.known(key) {
		return true, nil
	}
	if !s.slow() {
		return s.verify(password), nil
	}
	if c.MemoryShort && s.kind == argon2ID {
		o.refused.Add(1)
		return false, mqtt.Errorf(mqtt.ServerBusy, "", "memory is short: no password checks")
	}
	err = o.run(ctx, func() {
		ok = s.verify(password)
		if s.kind == argon2ID && s.memory >= freeAtLeast && o.waiting.Load() <= 1 {
			o.free()
		}
	})
	if ok {
		o.learn(key)
	}
	return ok, err
}

// free returns memory to the system when the line is empty. That collects
// garbage, which takes longer the more clients there are.
func (o *oven) free() {
	start := time.Now()
	if start.Before(o.nextFree) {
		return
	}
	debug.FreeOSMemory()
	end := time.Now()
	o.nextFree = end.Add(freeShare * end.Sub(start))
}

// remember returns the key under which a right password is kept.
func (o *oven) remember(who string, s *secret, password []byte) (key [sha256.Size]byte) {
	h := hmac.New(sha256.New, o.key[:])
	for _, part := range [][]byte{[]byte(who), []byte(s.text), password} {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(part)))
		h.Write(n[:])
		h.Write(part)
	}
	h.Sum(key[:0])
	return key
}

func (o *oven) known(key [sha256.Size]byte) bool {
	o.cache.Lock()
	defer o.cache.Unlock()
	until, ok := o.cache.right[key]
	return ok && time.Now().Before(until)
}

// learn keeps a key; a full cache loses another one, whichever.
func (o *oven) learn(key [sha256.Size]byte) {
	o.cache.Lock()
	defer o.cache.Unlock()
	for old := range o.cache.right {
		if len(o.cache.right) < cacheSize {
			break
		}
		delete(o.cache.right, old)
	}
	o.cache.right[key] = time.Now().Add(cacheFor)
}
