package store

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// A record that ends early or late is of a writer of another version, or damage
// that the checksum of its page did not see.
var (
	errShort = errors.New("record ends early")
	errLong  = errors.New("it goes on after its end: written by a newer version of dunlin, or damaged")
)

// appendText appends a string or bytes with their length in front.
func appendText[T string | []byte](dst []byte, s T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// appendTime appends milliseconds since 1970 plus one, 0 for none.
func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, 0)
	}
	return binary.AppendUvarint(dst, uint64(max(t.UnixMilli(), 0))+1)
}

// fields reads a record. The first failure sticks.
type fields struct {
	b     []byte
	err   error
	texts *texts // nil: each string and payload has memory of its own
}

func (f *fields) fail() {
	f.b, f.err = nil, errShort
}

// end returns what has failed; fields that are left are a failure, too.
func (f *fields) end() error {
	if f.err == nil && len(f.b) > 0 {
		f.err = errLong
	}
	return f.err
}

func (f *fields) byte() byte {
	if len(f.b) == 0 {
		f.fail()
		return 0
	}
	v := f.b[0]
	f.b = f.b[1:]
	return v
}

func (f *fields) number() uint64 {
	v, n := binary.Uvarint(f.b)
	if n <= 0 {
		f.fail()
		return 0
	}
	f.b = f.b[n:]
	return v
}

func (f *fields) bytes() []byte {
	n := f.number()
	if n > uint64(len(f.b)) {
		f.fail()
		return nil
	}
	v := f.b[:n]
	f.b = f.b[n:]
	return v
}

// name is a string that comes again and again.
func (f *fields) name() string {
	if f.texts == nil {
		return string(f.bytes())
	}
	return f.texts.name(f.bytes())
}

func (f *fields) payload() []byte {
	if f.texts == nil {
		return append([]byte(nil), f.bytes()...)
	}
	return f.texts.payload(f.bytes())
}

func (f *fields) time() time.Time {
	v := f.number()
	if v == 0 || v > math.MaxInt64 {
		return time.Time{}
	}
	return time.UnixMilli(int64(v - 1))
}

func (f *fields) duration() time.Duration { return time.Duration(min(f.number(), math.MaxInt64)) }

// count reads the length of a list whose elements have at least size bytes.
func (f *fields) count(size int) int {
	n := f.number()
	if n > uint64(len(f.b)/size) {
		f.fail()
		return 0
	}
	return int(n)
}
