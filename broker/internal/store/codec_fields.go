package store

import (
	"encoding/binary"
	"time"
)

// more reports whether a field follows that not every record ends with: it is
// written if there is one.
func (c *codec) more(has bool) bool {
	if c.reads {
		return len(c.src.b) > 0
	}
	return has
}

// count is the length of a list whose elements have at least size bytes.
func (c *codec) count(n, size int) int {
	if c.reads {
		return c.src.count(size)
	}
	number(c, &n)
	return n
}

func number[T uint16 | uint32 | uint64 | int | ~int64](c *codec, n *T) {
	if c.reads {
		*n = T(c.src.number())
	} else {
		c.dst = binary.AppendUvarint(c.dst, uint64(*n))
	}
}

func (c *codec) byte(b *byte) {
	if c.reads {
		*b = c.src.byte()
	} else {
		c.dst = append(c.dst, *b)
	}
}

func (c *codec) bool(b *bool) {
	if c.reads {
		*b = c.src.byte() == 1
	} else {
		c.dst = append(c.dst, bit(*b, 1))
	}
}

func (c *codec) string(s *string) {
	if c.reads {
		*s = string(c.src.bytes())
	} else {
		c.dst = appendText(c.dst, *s)
	}
}

// name is a string that comes again and again.
func (c *codec) name(s *string) {
	if c.reads {
		*s = c.src.name()
	} else {
		c.dst = appendText(c.dst, *s)
	}
}

// bytes reads into what is nil, or empty.
func (c *codec) bytes(b *[]byte) {
	if c.reads {
		*b = append(*b, c.src.bytes()...)
	} else {
		c.dst = appendText(c.dst, *b)
	}
}

func (c *codec) payload(b *[]byte) {
	if c.reads {
		*b = c.src.payload()
	} else {
		c.dst = appendText(c.dst, *b)
	}
}

func (c *codec) time(t *time.Time) {
	if c.reads {
		*t = c.src.time()
	} else {
		c.dst = appendTime(c.dst, *t)
	}
}

func (c *codec) duration(d *time.Duration) {
	if c.reads {
		*d = c.src.duration()
	} else {
		c.dst = binary.AppendUvarint(c.dst, uint64(*d))
	}
}
