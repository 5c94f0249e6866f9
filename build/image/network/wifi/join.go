package wifi

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// scan lets the radio listen on all channels.
func (a *attempt) scan(ctx context.Context) error {
	ssid := []byte{} // whoever hears it answers
	if a.Config.Hidden {
		ssid = []byte(a.Config.SSID)
	}
	e := a.attributes()
	e.Nested(unix.NL80211_ATTR_SCAN_SSIDS, func(e *netlink.AttributeEncoder) error {
		e.Bytes(1, ssid)
		return nil
	})
	// Somebody else's scan (the kernel's own) will do as well.
	if err := a.request(unix.NL80211_CMD_TRIGGER_SCAN, e); err != nil && !errors.Is(err, unix.EBUSY) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, scanWait)
	defer cancel()
	m, err := a.event(ctx, unix.NL80211_CMD_NEW_SCAN_RESULTS, unix.NL80211_CMD_SCAN_ABORTED)
	if err == nil && m.Command == unix.NL80211_CMD_SCAN_ABORTED {
		err = errors.New("it was aborted")
	}
	return err
}

// maxNamed bounds the list of networks that a problem names.
const maxNamed = 8

// choose looks for the network among what the scan found.
func (a *attempt) choose() (choice, error) {
	attrs, err := a.attributes().Encode()
	if err != nil {
		return choice{}, err
	}
	answers, err := a.socket.Request(Message{unix.NL80211_CMD_GET_SCAN, attrs}, true)
	if err != nil {
		return choice{}, err
	}
	var all []bss
	for _, m := range answers {
		if b, ok := parseBSS(m.Attrs); ok {
			all = append(all, b)
		}
	}
	best, ok, seen := choose(all, a.Config, a.radio)
	switch {
	case ok:
		return best, nil
	case seen && a.Config.Key != nil && !a.radio.psk && !a.radio.sae:
		return choice{}, trouble{"This board's Wi-Fi radio cannot join protected networks by itself, which the image needs. Use a network cable."}
	case seen:
		return choice{}, trouble{fmt.Sprintf("The Wi-Fi network %q was found, but protects itself in a way that does not match wifi.txt or the radio: the image can do WPA2 and WPA3 with a passphrase, and open networks with open = yes.", a.Config.SSID)}
	}
	return choice{}, trouble{fmt.Sprintf("The Wi-Fi network %q was not seen. %s Upper and lower case matter; a network that hides its name needs hidden = yes; a Zero 2 W and a Pi 3B see 2.4 GHz only.", a.Config.SSID, others(all))}
}

func others(all []bss) string {
	var names []string
	for _, b := range all {
		if q := fmt.Sprintf("%q", b.ssid); b.ssid != "" && !slices.Contains(names, q) {
			names = append(names, q)
		}
	}
	if len(names) == 0 {
		return "No other was seen either."
	}
	return "Seen were: " + strings.Join(names[:min(len(names), maxNamed)], ", ") + "."
}

// refused is an access point's or the radio's no.
type refused struct{ status, reason uint16 }

func (r refused) Error() string {
	if r.reason != 0 {
		return fmt.Sprintf("disconnected, reason %d", r.reason)
	}
	return fmt.Sprintf("refused, status %d", r.status)
}

// secret says whether it is what a wrong passphrase leads to: the handshake
// fails or takes too long (IEEE 802.11-2020, tables 9-49 and 9-50). brcmfmac
// reports any failed handshake as status 16.
func (r refused) secret() bool {
	reasons := []uint16{2, 6, 14, 15, 23}
	return slices.Contains(reasons, r.reason) || r.reason == 0 && (r.status == 15 || r.status == 16)
}

// join connects, and waits for the result.
func (a *attempt) join(ctx context.Context, to choice) error {
	if err := a.request(unix.NL80211_CMD_CONNECT, a.connect(to)); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, joinWait)
	defer cancel()
	m, err := a.event(ctx, unix.NL80211_CMD_CONNECT, unix.NL80211_CMD_DISCONNECT)
	if errors.Is(err, context.DeadlineExceeded) {
		a.leave()
		return refused{status: 16}
	}
	if err != nil {
		return err
	}
	no := refused{status: short(m.Attrs, unix.NL80211_ATTR_STATUS_CODE), reason: short(m.Attrs, unix.NL80211_ATTR_REASON_CODE)}
	if m.Command == unix.NL80211_CMD_DISCONNECT {
		no.reason = max(no.reason, 1) // unspecified
		return no
	}
	if no.status != 0 {
		return no
	}
	return nil
}

// connect are the attributes of NL80211_CMD_CONNECT. The access point is only
// a hint: the radio may roam to another of the network.
func (a *attempt) connect(to choice) *netlink.AttributeEncoder {
	e := a.attributes()
	e.Bytes(unix.NL80211_ATTR_SSID, []byte(to.ssid))
	e.Bytes(unix.NL80211_ATTR_MAC_HINT, to.id[:])
	e.Uint32(unix.NL80211_ATTR_WIPHY_FREQ_HINT, to.frequency)
	if to.akm == 0 {
		e.Uint32(unix.NL80211_ATTR_AUTH_TYPE, unix.NL80211_AUTHTYPE_OPEN_SYSTEM)
		return e
	}
	e.Flag(unix.NL80211_ATTR_PRIVACY, true)
	e.Uint32(unix.NL80211_ATTR_CIPHER_SUITES_PAIRWISE, cipherCCMP)
	e.Uint32(unix.NL80211_ATTR_CIPHER_SUITE_GROUP, to.rsn.group)
	e.Uint32(unix.NL80211_ATTR_AKM_SUITES, to.akm)
	if to.akm == akmSAE {
		e.Uint32(unix.NL80211_ATTR_WPA_VERSIONS, unix.NL80211_WPA_VERSION_3)
		e.Uint32(unix.NL80211_ATTR_AUTH_TYPE, unix.NL80211_AUTHTYPE_SAE)
		e.Uint32(unix.NL80211_ATTR_USE_MFP, unix.NL80211_MFP_REQUIRED)
		e.Bytes(unix.NL80211_ATTR_SAE_PASSWORD, []byte(a.Config.Passphrase))
		return e
	}
	e.Uint32(unix.NL80211_ATTR_WPA_VERSIONS, unix.NL80211_WPA_VERSION_2)
	e.Uint32(unix.NL80211_ATTR_AUTH_TYPE, unix.NL80211_AUTHTYPE_OPEN_SYSTEM)
	if to.rsn.required {
		e.Uint32(unix.NL80211_ATTR_USE_MFP, unix.NL80211_MFP_REQUIRED)
	}
	e.Bytes(unix.NL80211_ATTR_PMK, a.Config.Key)
	return e
}

func (a *attempt) leave() {
	e := a.attributes()
	e.Uint16(unix.NL80211_ATTR_REASON_CODE, 3) // the station is leaving
	if err := a.request(unix.NL80211_CMD_DISCONNECT, e); err != nil {
		a.Logf("wifi: disconnect: %v", err) // it is not connected
	}
}

// stay waits until the network or the radio is lost. At its end it leaves.
func (a *attempt) stay(ctx context.Context) error {
	m, err := a.event(ctx, unix.NL80211_CMD_DISCONNECT, unix.NL80211_CMD_DEL_INTERFACE)
	switch {
	case err != nil:
		a.leave()
		return err
	case m.Command == unix.NL80211_CMD_DEL_INTERFACE:
		return errors.New("the radio is gone")
	}
	return fmt.Errorf("the network was lost, reason %d", short(m.Attrs, unix.NL80211_ATTR_REASON_CODE))
}

// short is an attribute of two bytes; 0 if it is not there.
func short(attrs []byte, kind uint16) uint16 {
	if b := attribute(attrs, kind); len(b) == 2 {
		return binary.NativeEndian.Uint16(b)
	}
	return 0
}
