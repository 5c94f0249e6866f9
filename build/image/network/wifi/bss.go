package wifi

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Suites of IEEE 802.11-2020, tables 9-149 and 9-151.
const (
	cipherTKIP = 0x000fac02
	cipherCCMP = 0x000fac04

	akmPSK       = 0x000fac02
	akmPSKSHA256 = 0x000fac06
	akmSAE       = 0x000fac08
)

// bss is a network as one access point sends it.
type bss struct {
	id        [6]byte
	ssid      string
	frequency uint32 // MHz
	signal    int32  // 1/100 dBm
	privacy   bool
	rsn       *rsn // nil: neither WPA2 nor WPA3
}

// rsn is an access point's security (IEEE 802.11-2020, 9.4.2.24).
type rsn struct {
	group    uint32
	pairwise []uint32
	akms     []uint32
	required bool // protection of management frames
	capable  bool
}

// parseBSS reads a message of NL80211_CMD_GET_SCAN; ok is false for one that
// tells of no network.
func parseBSS(attrs []byte) (b bss, ok bool) {
	d, err := netlink.NewAttributeDecoder(attrs)
	if err != nil {
		return b, false
	}
	for d.Next() {
		if d.Type() == unix.NL80211_ATTR_BSS {
			d.Nested(func(d *netlink.AttributeDecoder) error {
				b.read(d)
				ok = true
				return nil
			})
		}
	}
	return b, ok && d.Err() == nil
}

func (b *bss) read(d *netlink.AttributeDecoder) {
	for d.Next() {
		switch d.Type() {
		case unix.NL80211_BSS_BSSID:
			copy(b.id[:], d.Bytes())
		case unix.NL80211_BSS_FREQUENCY:
			b.frequency = d.Uint32()
		case unix.NL80211_BSS_SIGNAL_MBM:
			b.signal = int32(d.Uint32())
		case unix.NL80211_BSS_CAPABILITY:
			b.privacy = d.Uint16()&0x10 != 0
		case unix.NL80211_BSS_INFORMATION_ELEMENTS:
			b.elements(d.Bytes())
		}
	}
}

// elements reads the information elements of a beacon or probe response.
func (b *bss) elements(e []byte) {
	const ssid, security = 0, 48
	for len(e) >= 2 && len(e) >= 2+int(e[1]) {
		body := e[2 : 2+int(e[1])]
		switch e[0] {
		case ssid:
			if len(body) <= 32 {
				b.ssid = string(body)
			}
		case security:
			b.rsn = parseRSN(body)
		}
		e = e[2+len(body):]
	}
}

// parseRSN reads the element; whatever it ends before has its default.
func parseRSN(e []byte) *rsn {
	if len(e) < 2 || binary.LittleEndian.Uint16(e) != 1 {
		return nil
	}
	r := &rsn{group: cipherCCMP, pairwise: []uint32{cipherCCMP}}
	if e = e[2:]; len(e) < 4 {
		return r
	}
	r.group, e = binary.BigEndian.Uint32(e), e[4:]
	if r.pairwise, e = suites(e); e == nil {
		return r
	}
	if r.akms, e = suites(e); len(e) >= 2 {
		capabilities := binary.LittleEndian.Uint16(e)
		r.required, r.capable = capabilities&0x40 != 0, capabilities&0x80 != 0
	}
	return r
}

// suites reads a counted list; rest is nil when it ends early.
func suites(e []byte) (list []uint32, rest []byte) {
	if len(e) < 2 {
		return nil, nil
	}
	n := int(binary.LittleEndian.Uint16(e))
	if e = e[2:]; len(e) < 4*n {
		return nil, nil
	}
	for range n {
		list, e = append(list, binary.BigEndian.Uint32(e)), e[4:]
	}
	return list, e
}

// radio is what the hardware can do itself.
type radio struct{ psk, sae bool }

// choice is how to join an access point.
type choice struct {
	bss
	akm uint32 // 0: open
}

// choose picks the access point with the best signal of those that can be
// joined. seen says whether the network was there at all.
func choose(all []bss, c Config, r radio) (best choice, ok, seen bool) {
	slices.SortStableFunc(all, func(a, b bss) int { return cmp.Compare(b.signal, a.signal) })
	for _, b := range all {
		if b.ssid != c.SSID {
			continue
		}
		seen = true
		if akm, fits := b.fits(c, r); fits {
			return choice{b, akm}, true, true
		}
	}
	return choice{}, false, seen
}

// fits says by which key management the access point can be joined. WPA2 comes
// first where both are offered: every radio of the boards can do it.
func (b bss) fits(c Config, r radio) (akm uint32, ok bool) {
	if c.Key == nil {
		return 0, !b.privacy && b.rsn == nil
	}
	if b.rsn == nil || !slices.Contains(b.rsn.pairwise, cipherCCMP) {
		return 0, false
	}
	for _, a := range []struct {
		akm uint32
		can bool
	}{{akmPSK, r.psk}, {akmPSKSHA256, r.psk}, {akmSAE, r.sae && c.Passphrase != ""}} {
		if a.can && slices.Contains(b.rsn.akms, a.akm) {
			return a.akm, true
		}
	}
	return 0, false
}
