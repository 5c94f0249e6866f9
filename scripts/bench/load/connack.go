package load

import (
	"encoding/binary"
	"fmt"
)

// connack holds what scenarios need from CONNACK.
type connack struct {
	sessionPresent bool
	code           byte
	receiveMax     int // 65535 when absent
}

func parseConnack(version byte, body []byte) (c connack, err error) {
	c.receiveMax = 65535
	if len(body) < 2 {
		return c, errMalformed
	}
	c.sessionPresent, c.code = body[0]&1 != 0, body[1]
	if version != 5 || len(body) < 3 {
		return c, nil
	}
	n, used, err := readVarint(body[2:])
	if err != nil || len(body) < 2+used+n {
		return c, errMalformed
	}
	for p := body[2+used : 2+used+n]; len(p) > 0; {
		size, err := propertySize(p)
		if err != nil {
			return c, err
		}
		if p[0] == 0x21 { // Receive Maximum
			c.receiveMax = int(binary.BigEndian.Uint16(p[1:]))
		}
		p = p[size:]
	}
	return c, nil
}

// propertySize returns the bytes that the first property of CONNACK takes, its
// identifier included.
func propertySize(p []byte) (size int, err error) {
	switch p[0] {
	case 0x24, 0x25, 0x28, 0x29, 0x2a:
		size = 2
	case 0x13, 0x21, 0x22:
		size = 3
	case 0x11, 0x27:
		size = 5
	case 0x12, 0x15, 0x16, 0x1a, 0x1c, 0x1f:
		size = 1 + stringSize(p[1:])
	case 0x26:
		key := stringSize(p[1:])
		size = 1 + key + stringSize(p[min(1+key, len(p)):])
	default:
		return 0, fmt.Errorf("CONNACK with the unknown property 0x%02x", p[0])
	}
	if len(p) < size {
		return 0, errMalformed
	}
	return size, nil
}

// stringSize returns the size of the string that b begins with, 2 when even
// its length is cut off.
func stringSize(b []byte) int {
	if len(b) < 2 {
		return 2
	}
	return 2 + int(binary.BigEndian.Uint16(b))
}
