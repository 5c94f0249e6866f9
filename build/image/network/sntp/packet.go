package sntp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

const packetSize = 48

// Kiss is a server's wish to be asked less, or never (RFC 5905, 7.4).
type Kiss string

func (k Kiss) Error() string { return fmt.Sprintf("the server says %q", string(k)) }

// Sample is what one reply tells.
type Sample struct {
	Offset time.Duration // to be added to the clock
	Error  time.Duration // the offset is right within this
}

// request is a client's packet; the cookie stands where its clock would, so
// that the reply can be told from one that was guessed.
func request(cookie uint64) []byte {
	b := make([]byte, packetSize)
	b[0] = 4<<3 | 3 // version 4, client
	binary.BigEndian.PutUint64(b[40:], cookie)
	return b
}

const (
	maxDelay      = 2 * time.Second // longer says too little
	maxDispersion = time.Second     // root dispersion and half the root delay
	minError      = time.Millisecond
)

var errReply = errors.New("not a reply to the request")

// reply reads a server's packet. sent is the clock's reading at the request,
// elapsed the time until the reply by a clock that does not jump.
func reply(b []byte, cookie uint64, sent time.Time, elapsed time.Duration) (Sample, error) {
	if len(b) < packetSize || b[0]&7 != 4 || b[0]>>3&7 < 3 || binary.BigEndian.Uint64(b[24:]) != cookie {
		return Sample{}, errReply
	}
	leap, stratum := b[0]>>6, b[1]
	if stratum == 0 {
		return Sample{}, Kiss(b[12:16])
	}
	if leap == 3 || stratum > 15 {
		return Sample{}, errors.New("the server has no time itself")
	}
	arrived, left := stamp(b[32:]), stamp(b[40:])
	if arrived.IsZero() || left.IsZero() {
		return Sample{}, errors.New("no time in the reply")
	}
	inside := left.Sub(arrived)
	delay := elapsed - inside
	root := short(b[4:])/2 + short(b[8:])
	switch {
	case inside < 0 || delay < -minError || elapsed > maxDelay:
		return Sample{}, fmt.Errorf("the reply took %v, and the server %v of it", elapsed, inside)
	case root > maxDispersion:
		return Sample{}, fmt.Errorf("the server knows the time within %v only", root)
	}
	middle := arrived.Add(inside / 2)
	return Sample{Offset: middle.Sub(sent.Round(0).Add(elapsed / 2)), Error: max(delay/2, 0) + root + minError}, nil
}

// stamp reads an NTP timestamp; the zero time stands for none. Era 1 begins
// in February 2036, era 0 is read from 1968 on (RFC 4330, 3).
func stamp(b []byte) time.Time {
	seconds, fraction := int64(binary.BigEndian.Uint32(b)), uint64(binary.BigEndian.Uint32(b[4:]))
	if seconds == 0 && fraction == 0 {
		return time.Time{}
	}
	const to1970 = 2208988800
	if seconds&0x80000000 == 0 {
		seconds += 1 << 32
	}
	return time.Unix(seconds-to1970, int64(fraction*1e9>>32))
}

// short reads 16.16 bits of seconds.
func short(b []byte) time.Duration {
	return time.Duration(uint64(binary.BigEndian.Uint32(b)) * 1e9 >> 16)
}
