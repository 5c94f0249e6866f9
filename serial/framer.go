package serial

import (
	"bytes"
	"unicode/utf8"
)

// framer cuts a stream into lines. It is the part of Lines without I/O and
// time: bytes go in through space and grow, lines come out of next, in place.
//
// buf[start:end] is what came in and is not yet a line; buf[start:seen] was
// already searched. While skipping, the bytes up to the next terminator belong
// to a line that is dropped, and what was searched is let go.
type framer struct {
	buf        []byte
	most       int  // what buf may grow to
	full       bool // the last read filled it
	start, end int
	seen       int
	skipping   bool
	afterCR    bool // the last line ended with \r: a \n that follows is part of it
	max        int
	terminator []byte // nil is auto
	stats      LineStats
}

const (
	// chunk is the room offered to a read of a device that says so much: what a
	// tty gives at once.
	chunk = 4096
	// few is what the buffer begins with: most devices say a line a second.
	few = 256
)

func newFramer(o LineOptions) framer {
	most := o.MaxLength + len(o.Terminator) + chunk
	return framer{
		buf:        make([]byte, min(most, few)),
		most:       most,
		max:        o.MaxLength,
		terminator: []byte(o.Terminator),
	}
}

// space returns where the next read goes, never empty after next returned
// false. Lines handed out before are overwritten.
func (f *framer) space() []byte {
	if f.start > 0 {
		copy(f.buf, f.buf[f.start:f.end])
		f.seen -= f.start
		f.end -= f.start
		f.start = 0
	}
	if len(f.buf) < f.most && (f.full || f.end > len(f.buf)/2) {
		buf := make([]byte, min(2*len(f.buf), f.most))
		copy(buf, f.buf[:f.end])
		f.buf = buf
	}
	return f.buf[f.end:]
}

// grow says that n bytes were put into space.
func (f *framer) grow(n int) {
	f.end += n
	f.full = f.end == len(f.buf)
	f.stats.Bytes += uint64(n)
}

// next returns the next line that is complete and clean, without terminator.
// It is valid until space is called. False means that more bytes are needed.
func (f *framer) next() ([]byte, bool) {
	for {
		at, size := f.find()
		if at < 0 {
			f.dropOverlong()
			return nil, false
		}
		line := f.buf[f.start:at]
		f.start = at + size
		f.seen = f.start
		switch {
		case f.skipping:
			f.skipping = false
		case len(line) == 0:
			f.stats.Empty++
		case len(line) > f.max:
			f.stats.Overlong++
		case !isText(line):
			f.stats.Garbage++
		default:
			f.stats.Lines++
			return line, true
		}
	}
}

// find returns where the next terminator is and its length, -1 when there is
// none yet.
func (f *framer) find() (at, size int) {
	if len(f.terminator) > 0 {
		i := bytes.Index(f.buf[f.seen:f.end], f.terminator)
		if i < 0 {
			// All but a terminator's beginning is searched.
			f.seen = max(f.seen, f.end-len(f.terminator)+1)
			return -1, 0
		}
		return f.seen + i, len(f.terminator)
	}
	if f.afterCR && f.start < f.end {
		f.afterCR = false
		if f.buf[f.start] == '\n' {
			f.start++
			f.seen = f.start
		}
	}
	i := indexCRLF(f.buf[f.seen:f.end])
	if i < 0 {
		f.seen = f.end
		return -1, 0
	}
	at = f.seen + i
	f.afterCR = f.buf[at] == '\r'
	return at, 1
}

// dropOverlong lets go of what is searched when it cannot become a line any
// more: the buffer has room for what may still come.
func (f *framer) dropOverlong() {
	if !f.skipping && f.seen-f.start > f.max {
		f.stats.Overlong++
		f.skipping = true
	}
	if f.skipping {
		f.start = f.seen
	}
}

// restart forgets what is buffered and starts anew, counters excepted. With
// skip, everything up to the next terminator is dropped.
func (f *framer) restart(skip bool) {
	if f.end > f.start && !f.skipping {
		f.stats.Partial++
	}
	f.start, f.end, f.seen, f.afterCR = 0, 0, 0, false
	f.skipping = skip
}

// indexCRLF returns the index of the first \r or \n, -1 for none.
func indexCRLF(b []byte) int {
	i := bytes.IndexByte(b, '\n')
	if i >= 0 {
		b = b[:i]
	}
	if j := bytes.IndexByte(b, '\r'); j >= 0 {
		return j
	}
	return i
}

// isText reports whether a line has neither invalid UTF-8 nor a control
// character other than the tab.
func isText(line []byte) bool {
	for i := 0; i < len(line); {
		switch c := line[i]; {
		case c == '\t', c >= 0x20 && c < 0x7f:
			i++
			continue
		case c < utf8.RuneSelf:
			return false
		}
		r, size := utf8.DecodeRune(line[i:])
		if r == utf8.RuneError && size <= 1 || r >= 0x80 && r < 0xa0 {
			return false
		}
		i += size
	}
	return true
}
