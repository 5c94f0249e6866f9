package link

import (
	"net/netip"
	"testing"

	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"
)

func TestBroadcastAddress(t *testing.T) {
	for prefix, want := range map[string]string{
		"10.0.0.5/24": "10.0.0.255", "10.0.0.5/30": "10.0.0.7", "10.0.0.5/9": "10.127.255.255",
		"10.0.0.5/31": "", "10.0.0.5/32": "", // RFC 3021: it would be the other host's
	} {
		m, got := addressMessage(1, netip.MustParsePrefix(prefix)), ""
		if b, ok := netip.AddrFromSlice(m.Attributes.Broadcast); ok {
			got = b.String()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", prefix, got, want)
		}
	}
}

func TestRouteOf(t *testing.T) {
	for _, tc := range []struct {
		bits     uint8
		dst, via []byte
		want     Route
	}{
		{0, nil, []byte{10, 0, 0, 1}, Route{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("10.0.0.1")}},
		{16, []byte{10, 9, 0, 0}, nil, Route{To: netip.MustParsePrefix("10.9.0.0/16")}},
	} {
		m := rtnetlink.RouteMessage{Family: unix.AF_INET, DstLength: tc.bits, Attributes: rtnetlink.RouteAttributes{Dst: tc.dst, Gateway: tc.via}}
		if got := routeOf(m); got != tc.want {
			t.Errorf("%v, want %v", got, tc.want)
		}
	}
}
