package wifi

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Station keeps a radio in a network.
type Station struct {
	Config  Config
	Dial    func() (Socket, error)
	Problem func(text string) // what the user should know; empty: all is well
	Logf    func(format string, args ...any)
}

// How long things may take, and the pauses after a failure, which double.
const (
	radioWait  = 30 * time.Second // after start, for firmware
	scanWait   = 20 * time.Second
	joinWait   = 25 * time.Second
	firstPause = 2 * time.Second
	lastPause  = time.Minute
)

// trouble is a failure that the user can do something about.
type trouble struct{ text string }

func (t trouble) Error() string { return t.text }

// Run joins the network, again and again, until ctx ends.
func (s *Station) Run(ctx context.Context) {
	begin, pause, denied := time.Now(), firstPause, 0
	for ctx.Err() == nil {
		joined, err := s.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if joined {
			pause, denied = firstPause, 0
		}
		s.Logf("wifi: %v; again in %v", err, pause)
		var t trouble
		var no refused
		switch {
		case errors.As(err, &no) && no.secret():
			// Once may be chance: a frame was lost.
			if denied++; denied >= 2 {
				s.Problem(fmt.Sprintf("The Wi-Fi network %q was found, but does not let the board in: the passphrase in wifi.txt is most likely wrong (upper and lower case matter).", s.Config.SSID))
			}
		case errors.As(err, &no):
			s.Problem(fmt.Sprintf("The Wi-Fi network %q was found, but refuses the board (%v). A list of permitted devices or a limit in the access point may be the reason.", s.Config.SSID, err))
		case errors.As(err, &t) && (t != noRadio || time.Since(begin) > radioWait):
			s.Problem(t.text)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
	}
}

var noRadio = trouble{"No Wi-Fi radio was found: this board has none, or none that the image has firmware for. Use a network cable."}

// once joins the network and stays in it as long as it lasts.
func (s *Station) once(ctx context.Context) (joined bool, err error) {
	socket, err := s.Dial()
	if errors.Is(err, unix.ENOENT) {
		return false, noRadio
	}
	if err != nil {
		return false, err
	}
	defer socket.Close()
	a := &attempt{Station: s, socket: socket}
	if err := a.prepare(); err != nil {
		return false, err
	}
	if err := a.scan(ctx); err != nil {
		return false, fmt.Errorf("scan: %w", err)
	}
	to, err := a.choose()
	if err != nil {
		return false, err
	}
	if err := a.join(ctx, to); err != nil {
		return false, err
	}
	s.Logf("wifi: joined %q at %x, %d MHz, %d dBm", to.ssid, to.id, to.frequency, to.signal/100)
	s.Problem("")
	return true, a.stay(ctx)
}

// attempt is one try with one radio.
type attempt struct {
	*Station
	socket Socket
	index  uint32 // of the network device
	radio  radio
}

// prepare finds the radio, and sets the country and no power saving: a gateway
// has to be reachable.
func (a *attempt) prepare() error {
	devices, err := a.socket.Request(Message{unix.NL80211_CMD_GET_INTERFACE, nil}, true)
	if err != nil {
		return err
	}
	wiphy := uint32(0)
	for _, m := range devices {
		v := numbers(m.Attrs)
		if v[unix.NL80211_ATTR_IFTYPE] == unix.NL80211_IFTYPE_STATION && a.index == 0 {
			a.index, wiphy = v[unix.NL80211_ATTR_IFINDEX], v[unix.NL80211_ATTR_WIPHY]
		}
	}
	if a.index == 0 {
		return noRadio
	}
	if err := a.features(wiphy); err != nil {
		return err
	}
	if a.Config.Country != "" {
		e := netlink.NewAttributeEncoder()
		e.String(unix.NL80211_ATTR_REG_ALPHA2, a.Config.Country)
		if err := a.request(unix.NL80211_CMD_REQ_SET_REG, e); err != nil {
			a.Logf("wifi: country %s: %v", a.Config.Country, err) // the radio's own rules hold
		}
	}
	e := a.attributes()
	e.Uint32(unix.NL80211_ATTR_PS_STATE, unix.NL80211_PS_DISABLED)
	if err := a.request(unix.NL80211_CMD_SET_POWER_SAVE, e); err != nil {
		a.Logf("wifi: power saving stays on: %v", err)
	}
	return nil
}

// features asks what the radio can do itself.
func (a *attempt) features(wiphy uint32) error {
	e := netlink.NewAttributeEncoder()
	e.Uint32(unix.NL80211_ATTR_WIPHY, wiphy)
	e.Flag(unix.NL80211_ATTR_SPLIT_WIPHY_DUMP, true)
	attrs, err := e.Encode()
	if err != nil {
		return err
	}
	answers, err := a.socket.Request(Message{unix.NL80211_CMD_GET_WIPHY, attrs}, true)
	for _, m := range answers {
		f := attribute(m.Attrs, unix.NL80211_ATTR_EXT_FEATURES)
		a.radio.psk = a.radio.psk || bit(f, unix.NL80211_EXT_FEATURE_4WAY_HANDSHAKE_STA_PSK)
		a.radio.sae = a.radio.sae || bit(f, unix.NL80211_EXT_FEATURE_SAE_OFFLOAD)
	}
	return err
}

func bit(b []byte, n int) bool { return n/8 < len(b) && b[n/8]>>(n%8)&1 != 0 }

// attributes begins a request about the device.
func (a *attempt) attributes() *netlink.AttributeEncoder {
	e := netlink.NewAttributeEncoder()
	e.Uint32(unix.NL80211_ATTR_IFINDEX, a.index)
	return e
}

func (a *attempt) request(command byte, e *netlink.AttributeEncoder) error {
	attrs, err := e.Encode()
	if err == nil {
		_, err = a.socket.Request(Message{command, attrs}, false)
	}
	return err
}

// event waits for one of the device's events.
func (a *attempt) event(ctx context.Context, commands ...byte) (Message, error) {
	for {
		m, err := a.socket.Event(ctx)
		if err != nil {
			return m, err
		}
		for _, c := range commands {
			if m.Command == c && numbers(m.Attrs)[unix.NL80211_ATTR_IFINDEX] == a.index {
				return m, nil
			}
		}
	}
}

// numbers are the attributes of four bytes.
func numbers(attrs []byte) map[uint16]uint32 {
	out := map[uint16]uint32{}
	d, err := netlink.NewAttributeDecoder(attrs)
	for err == nil && d.Next() {
		if b := d.Bytes(); len(b) == 4 {
			out[d.Type()] = binary.NativeEndian.Uint32(b)
		}
	}
	return out
}

// attribute is an attribute's bytes; nil if it is not there.
func attribute(attrs []byte, kind uint16) []byte {
	d, err := netlink.NewAttributeDecoder(attrs)
	for err == nil && d.Next() {
		if d.Type() == kind {
			return d.Bytes()
		}
	}
	return nil
}
