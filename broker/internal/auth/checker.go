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

// checker checks passwords, one at a time: a hash is made to be expensive, and
// two at a time would take twice the memory. After a power cut all devices
// come back at once, so a password that was right is remembered under a key
// that ends with the process.
type checker struct {
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

func newChecker() *checker {
	k := &checker{slot: make(chan struct{}, 1)}
	rand.Read(k.key[:])
	k.cache.right = map[[sha256.Size]byte]time.Time{}
	return k
}

// run waits for the slot and calls work. The error is ServerBusy: the line is
// full, or ctx ended.
func (k *checker) run(ctx context.Context, work func()) error {
	if k.waiting.Add(1) > maxWaiting+1 { // one of them is not waiting
		k.waiting.Add(-1)
		k.refused.Add(1)
		return mqtt.Errorf(mqtt.ServerBusy, "", "%d clients wait for their password check", maxWaiting)
	}
	defer k.waiting.Add(-1)
	select {
	case k.slot <- struct{}{}:
	case <-ctx.Done():
		k.refused.Add(1)
		return mqtt.Errorf(mqtt.ServerBusy, "", "the password check came too late")
	}
	defer func() { <-k.slot }()
	work()
	return nil
}

// check reports whether the password of c proves s. The user is part of the
// key of what is remembered. While memory is short, only what is remembered is
// proved by argon2id: it would take more.
func (k *checker) check(ctx context.Context, c *Connect, s *secret) (ok bool, err error) {
	password := c.Password
	key := k.remember(c.Username, s, password)
	if k.known(key) {
		return true, nil
	}
	if !s.slow() {
		return s.verify(password), nil
	}
	if c.MemoryShort && s.kind == argon2ID {
		k.refused.Add(1)
		return false, mqtt.Errorf(mqtt.ServerBusy, "", "memory is short: no password checks")
	}
	err = k.run(ctx, func() {
		ok = s.verify(password)
		if s.kind == argon2ID && s.memory >= freeAtLeast && k.waiting.Load() <= 1 {
			k.free()
		}
	})
	if ok {
		k.learn(key)
	}
	return ok, err
}

// free returns memory to the system when the line is empty. That collects
// garbage, which takes longer the more clients there are.
func (k *checker) free() {
	start := time.Now()
	if start.Before(k.nextFree) {
		return
	}
	debug.FreeOSMemory()
	end := time.Now()
	k.nextFree = end.Add(freeShare * end.Sub(start))
}

// remember returns the key under which a right password is kept.
func (k *checker) remember(who string, s *secret, password []byte) (key [sha256.Size]byte) {
	h := hmac.New(sha256.New, k.key[:])
	for _, part := range [][]byte{[]byte(who), []byte(s.text), password} {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(part)))
		h.Write(n[:])
		h.Write(part)
	}
	h.Sum(key[:0])
	return key
}

func (k *checker) known(key [sha256.Size]byte) bool {
	k.cache.Lock()
	defer k.cache.Unlock()
	until, ok := k.cache.right[key]
	return ok && time.Now().Before(until)
}

// learn keeps a key; a full cache loses another one, whichever.
func (k *checker) learn(key [sha256.Size]byte) {
	k.cache.Lock()
	defer k.cache.Unlock()
	for old := range k.cache.right {
		if len(k.cache.right) < cacheSize {
			break
		}
		delete(k.cache.right, old)
	}
	k.cache.right[key] = time.Now().Add(cacheFor)
}
