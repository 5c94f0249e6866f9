package journal

import "encoding/binary"

// Record is one entry. Body is borrowed from the reader.
type Record struct {
	Kind     byte
	Sequence uint64
	Body     []byte
}

// recordHeader is length u32 (of all that follows), kind u8, sequence u64.
const recordHeader = 4 + 1 + 8

// maxRecord keeps a damaged length from asking for memory. It is above what
// any packet can bring: 256 MiB and its destinations.
const maxRecord = 300 << 20

// group is a run of pages with whole records, from one synced place of the
// journal to the next. Its bytes stay in memory until they are durable, so that
// they can be written again elsewhere.
type group struct {
	pages []byte // whole pages; the bodies, headers are written by seal
	heads []page // one a page; number counts from the group's first page
	last  uint64 // sequence of the last record
	file  int    // pages of the segment that it goes to
}

// add appends a record.
func (g *group) add(kind byte, sequence uint64, body []byte) {
	var head [recordHeader]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(body)+recordHeader-4))
	head[4] = kind
	binary.LittleEndian.PutUint64(head[5:], sequence)
	if n := len(g.heads); n == 0 || g.heads[n-1].used == bodySize {
		g.grow()
	}
	if h := &g.heads[len(g.heads)-1]; h.first == noRecord {
		h.first = h.used
	}
	g.write(head[:])
	g.write(body)
	g.last = sequence
}

// write spreads bytes over pages.
func (g *group) write(b []byte) {
	for len(b) > 0 {
		h := &g.heads[len(g.heads)-1]
		if h.used == bodySize {
			g.grow()
			continue
		}
		at := (len(g.heads)-1)*pageSize + headerSize + h.used
		n := copy(g.pages[at:at+bodySize-h.used], b)
		h.used += n
		b = b[n:]
	}
}

func (g *group) grow() {
	h := page{first: noRecord, number: uint64(len(g.heads))}
	if len(g.heads) == 0 {
		h.flags = groupStart
	}
	g.heads = append(g.heads, h)
	g.pages = append(g.pages, make([]byte, pageSize)...)
}

// seal writes the headers of the pages from first on for a place in a segment.
func (g *group) seal(first int, epoch, number uint64) {
	for i := first; i < len(g.heads); i++ {
		h := g.heads[i]
		h.epoch, h.number, h.pages = epoch, number+uint64(i-first), g.file
		h.seal(g.pages[i*pageSize : (i+1)*pageSize])
	}
}

// cut forgets the first n pages; at least one must be left.
func (g *group) cut(n int) {
	g.pages = g.pages[:copy(g.pages, g.pages[n*pageSize:])]
	g.heads = g.heads[:copy(g.heads, g.heads[n:])]
}

// reset forgets the pages and keeps memory for so many of the next: what is
// written once a minute, as the values of devices, does not hold it for the minute.
func (g *group) reset(most int) {
	if cap(g.pages) > most*pageSize {
		g.pages = nil
	}
	g.pages, g.heads = g.pages[:0], g.heads[:0]
}
