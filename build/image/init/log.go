package main

import (
	"bytes"
	"io"
	"os"
	"sync"
	"time"
)

// ring keeps the last bytes of what init and dunlin said, whole lines, and
// passes them on to the console.
type ring struct {
	size  int
	start time.Time
	state struct {
		sync.Mutex
		b   []byte
		out *os.File // the console; nil for none
	}
}

func newRing(size int) *ring { return &ring{size: size, start: time.Now()} }

// to passes what comes, and what came so far, to the console.
func (r *ring) to(console *os.File) {
	r.state.Lock()
	defer r.state.Unlock()
	r.state.out = console
	console.Write(r.state.b) // a console that is gone has nobody to tell
}

// line adds one line; who is the part of init that says it.
func (r *ring) line(who, text string) {
	up := time.Since(r.start).Truncate(time.Millisecond)
	r.Write([]byte(who + " " + up.String() + ": " + text + "\n"))
}

// Write never fails.
func (r *ring) Write(b []byte) (int, error) {
	r.state.Lock()
	defer r.state.Unlock()
	if r.state.out != nil {
		r.state.out.Write(b)
	}
	r.state.b = append(r.state.b, b...)
	if over := len(r.state.b) - r.size; over > r.size/4 { // cut seldom, at a line's end
		cut := over + bytes.IndexByte(r.state.b[over:], '\n') + 1
		r.state.b = append(r.state.b[:0], r.state.b[cut:]...)
	}
	return len(b), nil
}

// text is a copy of what is kept, the oldest first.
func (r *ring) text() []byte {
	r.state.Lock()
	defer r.state.Unlock()
	return bytes.Clone(r.state.b)
}

// copyFrom adds what a program says, until it closes its end. A line longer
// than 4 KiB comes in pieces.
func (r *ring) copyFrom(pipe io.Reader) {
	buf := make([]byte, 4096)
	for n := 0; ; {
		k, err := pipe.Read(buf[n:])
		n += k
		end := bytes.LastIndexByte(buf[:n], '\n') + 1
		if end == 0 && (n == len(buf) || err != nil) {
			end = n
		}
		if end > 0 {
			r.Write(buf[:end])
			n = copy(buf, buf[end:n])
		}
		if err != nil {
			if n > 0 {
				r.Write(append(buf[:n], '\n'))
			}
			return
		}
	}
}
