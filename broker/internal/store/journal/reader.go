package journal

import "encoding/binary"

// reader puts records together from pages, in the order they are given. A page
// that cannot be read loses the records that touch it and no others.
type reader struct {
	partial []byte // the beginning of a record that goes on in the next page
	want    int    // its length, 0 while the length itself is incomplete
	at      place
}

// place is a page of a file, and how many before it cannot be read.
type place struct{ page, bad int }

// lost forgets the record that a missing page interrupts.
func (r *reader) lost() { r.partial, r.want = r.partial[:0], 0 }

// page takes the next page and calls f for every record that is complete. It
// reports whether the page makes sense; one that does not is given up where it
// stops to.
func (r *reader) page(h page, body []byte, f func(Record) error) (sane bool, err error) {
	body = body[:h.used]
	if h.flags&groupStart != 0 || len(r.partial) == 0 || !r.continues(h) {
		// Nothing goes on here: what was partial was given up by the writer.
		r.lost()
		if h.first == noRecord {
			return true, nil // the rest of a record whose beginning is lost
		}
		body = body[h.first:]
	}
	for len(body) > 0 {
		if r.want == 0 {
			n := copy4(&r.partial, body)
			body = body[n:]
			if len(r.partial) < 4 {
				return true, nil
			}
			size := binary.LittleEndian.Uint32(r.partial)
			if size < recordHeader-4 || size > maxRecord {
				r.lost()
				return false, nil
			}
			r.want = int(size) + 4
		}
		n := min(r.want-len(r.partial), len(body))
		r.partial = append(r.partial, body[:n]...)
		body = body[n:]
		if len(r.partial) < r.want {
			return true, nil
		}
		rec := Record{Kind: r.partial[4], Sequence: binary.LittleEndian.Uint64(r.partial[5:]), Body: r.partial[recordHeader:]}
		if err := f(rec); err != nil {
			return true, err
		}
		r.lost()
	}
	return true, nil
}

// continues reports whether the rest of the partial record ends where the page
// says that the next one starts.
func (r *reader) continues(h page) bool {
	rest := r.want - len(r.partial)
	switch {
	case h.first == 0:
		return false
	case r.want == 0: // not even its length is known
		return true
	case h.first == noRecord:
		return rest >= h.used
	}
	return rest == h.first
}

// copy4 completes the four bytes of a length.
func copy4(p *[]byte, body []byte) int {
	n := min(4-len(*p), len(body))
	*p = append(*p, body[:n]...)
	return n
}
