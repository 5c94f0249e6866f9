package arp

import (
	"net"
	"net/netip"
	"reflect"
	"testing"
)

func TestPacket(t *testing.T) {
	p := Packet{Reply: true, SenderHardware: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Sender: netip.MustParseAddr("10.0.0.1"),
		TargetHardware: net.HardwareAddr{2, 0, 0, 0, 0, 2}, Target: netip.MustParseAddr("10.0.0.2")}
	b := p.Append(nil)
	if got, err := Parse(append(b, make([]byte, 18)...)); err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("%+v, %v", got, err)
	}
	for at, name := range map[int]string{1: "hardware", 2: "protocol", 4: "length", 7: "operation"} {
		bad := append([]byte(nil), b...)
		bad[at] ^= 0x40
		if _, err := Parse(bad); err == nil {
			t.Errorf("another %s is taken", name)
		}
	}
	if _, err := Parse(b[:27]); err == nil {
		t.Error("a cut packet is taken")
	}
}

func TestConflicts(t *testing.T) {
	own, other := net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
	ours, theirs, none := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.IPv4Unspecified()
	for _, tc := range []struct {
		name          string
		p             Packet
		before, after bool // it is used
	}{
		{"somebody has it", Packet{SenderHardware: other, Sender: ours, Target: theirs}, true, true},
		{"somebody probes for it too", Packet{SenderHardware: other, Sender: none, Target: ours}, true, false},
		{"somebody asks for it", Packet{SenderHardware: other, Sender: theirs, Target: ours}, false, false},
		{"one's own packet", Packet{SenderHardware: own, Sender: ours, Target: ours}, false, false},
		{"one's own probe", Packet{SenderHardware: own, Sender: none, Target: ours}, false, false},
	} {
		if got := wanted(tc.p, own, ours); got != tc.before {
			t.Errorf("RFC5227-2.1.1 %s: %v", tc.name, got)
		}
		if got := conflicts(tc.p, own, ours); got != tc.after {
			t.Errorf("RFC5227-2.4 %s: %v", tc.name, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Packet{Sender: netip.IPv4Unspecified(), Target: netip.IPv4Unspecified()}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := Parse(b); err == nil {
			if again, err := Parse(p.Append(nil)); err != nil || !reflect.DeepEqual(p, again) {
				t.Errorf("%+v\n%+v", p, again)
			}
		}
	})
}
