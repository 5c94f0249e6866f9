package serial

import (
	"bytes"
	"sync/atomic"
)

// deframer cuts a stream into frames. It is the part of Frames without I/O and
// time: bytes go in through space and grow, payloads come out of next, in
// place.
//
// buf[start:end] is what came in and is not yet a frame; buf[start:seen] was
// already searched for a delimiter. While skipping, the bytes up to the next
// delimiter belong to a frame that is dropped. lost says that the last frame
// was none, so that noise of any length counts once.
type deframer struct {
	f          Framing
	buf        []byte
	start, end int
	seen       int
	skipping   bool
	lost       bool
	limit      int // of a frame in the stream
	stats      FrameStats
	rejected   atomic.Uint64
}

// FrameStats counts since NewFrames; Reset keeps the counts.
type FrameStats struct {
	Bytes    uint64 // received
	Frames   uint64 // delivered
	Rejected uint64 // wrong checksum, or no frame of this kind
	Overlong uint64 // dropped for their length
	Skipped  uint64 // bytes between frames
}

// room is the least space that is offered to a read, and what the buffer begins
// with: most devices say a short frame a second.
const room = 256

func (d *deframer) init(f Framing) {
	d.f, d.limit = f, f.longest()
	d.buf = make([]byte, room)
}

func (d *deframer) space() []byte {
	if d.start > 0 {
		copy(d.buf, d.buf[d.start:d.end])
		d.seen -= d.start
		d.end -= d.start
		d.start = 0
	}
	if len(d.buf)-d.end < room { // only a frame on its way comes here
		d.buf = append(d.buf, make([]byte, min(len(d.buf), d.limit+room-len(d.buf)))...)
	}
	return d.buf[d.end:]
}

func (d *deframer) grow(n int) {
	d.end += n
	d.stats.Bytes += uint64(n)
}

// restart forgets what is buffered. Where nothing tells a whole frame from the
// end of one, what comes before the first delimiter is dropped.
func (d *deframer) restart(bool) {
	d.start, d.end, d.seen, d.lost = 0, 0, 0, false
	_, delimited := d.f.delimited()
	d.skipping = delimited && d.f.Check.bits == 0
}

// next returns the payload of the next good frame, valid until space is
// called; nil for one that was dropped, if that is to be told. False means that
// more bytes are needed.
func (d *deframer) next() ([]byte, bool) {
	delimiter, delimited := d.f.delimited()
	for {
		if !delimited {
			payload, more := d.headed()
			if more || payload != nil {
				return payload, !more
			}
			continue
		}
		i := bytes.IndexByte(d.buf[d.seen:d.end], delimiter)
		if i < 0 {
			d.seen = d.end
			return nil, d.dropOverlong() && d.f.Tell
		}
		body := d.buf[d.start : d.seen+i]
		d.start += len(body) + 1
		d.seen = d.start
		if d.skipping || len(body) == 0 {
			d.stats.Skipped += uint64(len(body))
			d.skipping = false
			continue
		}
		if payload, ok := d.decode(body); ok {
			d.stats.Frames++
			return payload, true
		}
		d.rejected.Add(1)
		if d.f.Tell {
			return nil, true
		}
	}
}

// decode takes a delimited frame apart.
func (d *deframer) decode(body []byte) ([]byte, bool) {
	ok := false
	if d.f.Kind == "cobs" {
		body, ok = decodeCOBS(body)
	} else {
		body, ok = decodeSLIP(body)
	}
	n := len(body) - d.f.Check.Size()
	return body[:max(n, 0)], ok && n >= 0 && n <= d.f.Max && bytes.Equal(body[n:], d.f.Check.bytes(body[:n], d.f.BigEndian))
}

// dropOverlong lets go of what is searched when it cannot become a frame any
// more. It reports whether it has just begun to.
func (d *deframer) dropOverlong() (begun bool) {
	if !d.skipping && d.seen-d.start > d.limit {
		d.stats.Overlong++
		d.skipping, begun = true, true
	}
	if d.skipping {
		d.stats.Skipped += uint64(d.seen - d.start)
		d.start = d.seen
	}
	return begun
}

// headed tries the frame at start, of a kind that has a beginning. It returns
// a payload; or nil after it moved on; or more, for a frame that is not
// complete.
func (d *deframer) headed() (payload []byte, more bool) {
	b := d.buf[d.start:d.end]
	sync := d.f.Sync
	switch d.f.Kind {
	case "stx_etx":
		sync = []byte{stx}
	case "telegram":
		sync = []byte{'/'}
	}
	if n := len(sync); len(b) < n || string(b[:n]) != string(sync) {
		if bytes.HasPrefix(sync, b) {
			return nil, true
		}
		at := bytes.IndexByte(b[1:], sync[0]) + 1
		if at == 0 {
			at = len(b)
		}
		d.skip(at)
		return nil, false
	}
	from, to, total := d.extent(b, len(sync))
	switch {
	case total == 0 || total > d.limit || to-from > d.f.Max:
		d.reject()
		return nil, false
	case total < 0 || total > len(b):
		if len(b) >= d.limit {
			d.reject()
			return nil, false
		}
		return nil, true
	}
	if !d.good(b[:total], from, to) {
		d.reject()
		return nil, false
	}
	d.start += total
	d.lost = false
	d.stats.Frames++
	return b[from:to:to], false
}

// extent returns where the payload of the frame at b lies and the frame's
// length: negative when that is still to come, 0 when this is no frame.
func (d *deframer) extent(b []byte, from int) (payload, end, total int) {
	check := d.f.Check.Size()
	switch d.f.Kind {
	case "stx_etx":
		i := bytes.IndexAny(b[from:], "\x02\x03")
		switch {
		case i < 0:
			return 0, 0, -1
		case b[from+i] == stx: // the end of the last one is missing
			return 0, 0, 0
		}
		return from, from + i, from + i + 1 + check
	case "telegram":
		total = -1
		if i := bytes.IndexByte(b, '!'); i >= 0 {
			if j := bytes.IndexByte(b[i:], '\n'); j >= 0 {
				total = i + j + 1
			}
		}
		// No value has a slash in it: what is behind one is the next telegram, and
		// the end of this one is missing.
		if i := bytes.IndexByte(b[from:], '/'); i >= 0 && (total < 0 || from+i < total) {
			return 0, 0, 0
		}
		return 0, total, total
	}
	n, width := d.f.Length, d.f.width()
	if len(b) < from+width {
		return 0, 0, -1
	}
	if width > 0 {
		n = int(b[from])
		if last := int(b[from+width-1]); d.f.BigEndian {
			n = n<<8*(width-1) | last
		} else {
			n |= last << 8 * (width - 1)
		}
		n -= d.f.Counted
	}
	from += width
	if n < 1 {
		return 0, 0, 0
	}
	return from, from + n, from + n + check + len(d.f.Tail)
}

// good reports whether checksum and tail of a complete frame are right.
func (d *deframer) good(frame []byte, from, to int) bool {
	if d.f.Kind == "telegram" {
		return true
	}
	if d.f.Kind == "stx_etx" {
		to++ // the checksum covers ETX
	}
	if d.f.CheckAll {
		from = 0
	}
	check := d.f.Check.bytes(frame[from:to], d.f.BigEndian)
	return string(frame[to:]) == string(check)+string(d.f.Tail)
}

// reject gives up on the frame at start: the next may begin inside of it.
func (d *deframer) reject() {
	if !d.lost {
		d.rejected.Add(1)
	}
	d.lost = true
	d.skip(1)
}

func (d *deframer) skip(n int) {
	d.start += n
	d.stats.Skipped += uint64(n)
}
