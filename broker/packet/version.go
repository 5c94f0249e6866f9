package packet

import (
	"bytes"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// ConnectVersion looks for the protocol version of a CONNECT that may be
// malformed, too large or not whole: what a refusal must be worded for. It is
// 0 when b does not say.
func ConnectVersion(b []byte) mqtt.Version {
	if len(b) == 0 || Type(b[0]>>4) != CONNECT {
		return 0
	}
	_, size := varint(b[1:])
	if size <= 0 {
		return 0
	}
	b = b[1+size:]
	for _, v := range []mqtt.Version{mqtt.V5, mqtt.V311, mqtt.V31} {
		c := Connect{Version: v}
		start := appendBytes(nil, c.protocolName())
		if len(b) > len(start) && bytes.HasPrefix(b, start) && mqtt.Version(b[len(start)]) == v {
			return v
		}
	}
	return 0
}
