package wifi

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func TestParse(t *testing.T) {
	// The key is IEEE 802.11-2020's test vector 1 of J.4.2.
	c, err := Parse([]byte("\xef\xbb\xbf# home\r\nSSID = IEEE\r\npassphrase = \"password\"\r\ncountry = de\r\nhidden=yes\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(c.Key); got != "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e" {
		t.Errorf("key %s", got)
	}
	if c.SSID != "IEEE" || c.Country != "DE" || !c.Hidden {
		t.Errorf("%+v", c)
	}
	if c, err := Parse([]byte("ssid = x\npassphrase = " + strings.Repeat("0f", 32))); err != nil || !bytes.Equal(c.Key, bytes.Repeat([]byte{15}, 32)) || c.Passphrase != "" {
		t.Errorf("a key of 64 digits: %+v, %v", c, err)
	}
	for text, want := range map[string]string{
		"passphrase = 12345678":                             "1 to 32 bytes",
		"ssid = x":                                          "no passphrase",
		"ssid = x\npassphrase = 1234567":                    "wifi.txt:2: a passphrase has 8 to 63 characters",
		"ssid = x\npassphrase = grün-grün":                  "characters of ASCII",
		"ssid = x\nopen = yes\npassphrase = 12345678":       "has no passphrase",
		"ssid = x\nopen = perhaps":                          "expected yes or no",
		"ssid = x\npasphrase = 12345678":                    `"pasphrase" is not known here`,
		"ssid = x\nopen = yes\ncountry = GER":               "expected two letters",
		"ssid = x\nssid = y":                                "twice",
		"ssid":                                              "expected key = value",
		"s\x00s\x00":                                        "save it as UTF-8",
		"ssid = x\npassphrase = " + strings.Repeat("x", 64): "hexadecimal",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// hexBytes reads hexadecimal digits; spaces and line ends mean nothing.
func hexBytes(text string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		panic(err)
	}
	return b
}

// attr is an attribute's bytes, in little-endian order as on the boards.
func attr(kind uint16, body []byte) []byte {
	n := 4 + len(body)
	b := append([]byte{byte(n), byte(n >> 8), byte(kind), byte(kind >> 8)}, body...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func le(n uint32) []byte { return []byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)} }

// beacon is what GET_SCAN says of an access point; rsn is its element.
func beacon(ssid string, mbm int32, privacy bool, rsn string) Message {
	ies := append([]byte{0, byte(len(ssid))}, ssid...)
	if rsn != "" {
		body := hexBytes(rsn)
		ies = append(append(ies, 48, byte(len(body))), body...)
	}
	capability := []byte{1, 0}
	if privacy {
		capability[0] |= 0x10
	}
	nested := bytes.Join([][]byte{
		attr(unix.NL80211_BSS_BSSID, []byte{2, 0, 0, 0, 0, byte(-mbm / 100)}),
		attr(unix.NL80211_BSS_FREQUENCY, le(2437)),
		attr(unix.NL80211_BSS_SIGNAL_MBM, le(uint32(mbm))),
		attr(unix.NL80211_BSS_CAPABILITY, capability),
		attr(unix.NL80211_BSS_INFORMATION_ELEMENTS, ies),
	}, nil)
	return Message{unix.NL80211_CMD_NEW_SCAN_RESULTS, append(attr(unix.NL80211_ATTR_IFINDEX, le(3)), attr(unix.NL80211_ATTR_BSS, nested)...)}
}

const (
	wpa2  = "0100 000fac04 0100 000fac04 0100 000fac02 0000"
	mixed = "0100 000fac02 0200 000fac04 000fac02 0100 000fac02 0000" // TKIP for the group
	wpa3  = "0100 000fac04 0100 000fac04 0100 000fac08 c000"
	both  = "0100 000fac04 0100 000fac04 0200 000fac02 000fac08 8000"
	eap   = "0100 000fac04 0100 000fac04 0100 000fac01 0000"
	tkip  = "0100 000fac02 0100 000fac02 0100 000fac02 0000"
)

func TestChoose(t *testing.T) {
	secret := Config{SSID: "Home", Passphrase: "correct horse", Key: make([]byte, 32)}
	keyed := Config{SSID: "Home", Key: make([]byte, 32)}
	open := Config{SSID: "Home"}
	able, simple := radio{psk: true, sae: true}, radio{psk: true}
	for _, tc := range []struct {
		name   string
		config Config
		radio  radio
		found  []Message
		akm    uint32
		signal int32
		ok     bool
		seen   bool
	}{
		{"the strongest", secret, able, []Message{beacon("Home", -7000, true, wpa2), beacon("Home", -5000, true, wpa2), beacon("Other", -2000, true, wpa2)}, akmPSK, -5000, true, true},
		{"WPA2 where both are offered", secret, able, []Message{beacon("Home", -5000, true, both)}, akmPSK, -5000, true, true},
		{"WPA3 only", secret, able, []Message{beacon("Home", -5000, true, wpa3)}, akmSAE, -5000, true, true},
		{"WPA3 only, a radio that cannot", secret, simple, []Message{beacon("Home", -5000, true, wpa3)}, 0, 0, false, true},
		{"WPA3 needs the passphrase", keyed, able, []Message{beacon("Home", -5000, true, wpa3)}, 0, 0, false, true},
		{"TKIP for the group only", secret, able, []Message{beacon("Home", -5000, true, mixed)}, akmPSK, -5000, true, true},
		{"TKIP for all", secret, able, []Message{beacon("Home", -5000, true, tkip)}, 0, 0, false, true},
		{"an enterprise's", secret, able, []Message{beacon("Home", -5000, true, eap)}, 0, 0, false, true},
		{"open where a passphrase is set", secret, able, []Message{beacon("Home", -5000, false, "")}, 0, 0, false, true},
		{"open", open, radio{}, []Message{beacon("Home", -5000, false, "")}, 0, -5000, true, true},
		{"protected where open is set", open, able, []Message{beacon("Home", -5000, true, wpa2)}, 0, 0, false, true},
		{"not there", secret, able, []Message{beacon("home", -5000, true, wpa2)}, 0, 0, false, false},
	} {
		var all []bss
		for _, m := range tc.found {
			b, ok := parseBSS(m.Attrs)
			if !ok {
				t.Fatalf("%s: not read", tc.name)
			}
			all = append(all, b)
		}
		c, ok, seen := choose(all, tc.config, tc.radio)
		if ok != tc.ok || seen != tc.seen || c.akm != tc.akm || c.signal != tc.signal {
			t.Errorf("%s: akm %x signal %d ok %v seen %v", tc.name, c.akm, c.signal, ok, seen)
		}
	}
}

// kernel is a scripted nl80211: what was asked, in bytes, and what it says.
type kernel struct {
	sync.Mutex
	asked    []string
	features string // hexadecimal
	found    []Message
	results  []Message // of each CONNECT, in turn; the last one stays
	events   chan Message
	radios   int
}

func (k *kernel) Request(m Message, dump bool) ([]Message, error) {
	k.Lock()
	defer k.Unlock()
	k.asked = append(k.asked, fmt.Sprintf("%d %x", m.Command, m.Attrs))
	device := attr(unix.NL80211_ATTR_IFINDEX, le(3))
	switch m.Command {
	case unix.NL80211_CMD_GET_INTERFACE:
		if k.radios == 0 {
			return nil, nil
		}
		return []Message{{unix.NL80211_CMD_NEW_INTERFACE, bytes.Join([][]byte{device, attr(unix.NL80211_ATTR_WIPHY, le(1)), attr(unix.NL80211_ATTR_IFTYPE, le(2))}, nil)}}, nil
	case unix.NL80211_CMD_GET_WIPHY:
		return []Message{{unix.NL80211_CMD_NEW_WIPHY, attr(unix.NL80211_ATTR_EXT_FEATURES, hexBytes(k.features))}}, nil
	case unix.NL80211_CMD_TRIGGER_SCAN:
		k.events <- Message{unix.NL80211_CMD_NEW_SCAN_RESULTS, device}
	case unix.NL80211_CMD_GET_SCAN:
		return k.found, nil
	case unix.NL80211_CMD_CONNECT:
		if len(k.results) == 0 {
			return nil, nil // and silence
		}
		k.events <- k.results[0]
		if len(k.results) > 1 {
			k.results = k.results[1:]
		}
	}
	return nil, nil
}

func (k *kernel) Event(ctx context.Context) (Message, error) {
	select {
	case m := <-k.events:
		return m, nil
	case <-ctx.Done():
		return Message{}, ctx.Err()
	}
}

func (k *kernel) Close() error { return nil }

func (k *kernel) last(command int) string {
	k.Lock()
	defer k.Unlock()
	for i := len(k.asked) - 1; i >= 0; i-- {
		if strings.HasPrefix(k.asked[i], fmt.Sprint(command, " ")) {
			return k.asked[i]
		}
	}
	return ""
}

func (k *kernel) count(command int) (n int) {
	k.Lock()
	defer k.Unlock()
	for _, a := range k.asked {
		if strings.HasPrefix(a, fmt.Sprint(command, " ")) {
			n++
		}
	}
	return n
}

func result(command byte, kind uint16, code byte) Message {
	return Message{command, append(attr(unix.NL80211_ATTR_IFINDEX, le(3)), attr(kind, []byte{code, 0})...)}
}

// features of brcmfmac: bit 24 is the handshake of WPA2, bit 42 SAE's.
var features = func() string {
	var b [8]byte
	for _, n := range []int{unix.NL80211_EXT_FEATURE_4WAY_HANDSHAKE_STA_PSK, unix.NL80211_EXT_FEATURE_SAE_OFFLOAD} {
		b[n/8] |= 1 << (n % 8)
	}
	return hex.EncodeToString(b[:])
}()

// play runs a station against k for d, and says what the user was told last.
func play(t *testing.T, k *kernel, c Config, d time.Duration, during func()) (problem string) {
	t.Helper()
	k.events = make(chan Message, 8)
	ctx, cancel := context.WithCancel(t.Context())
	s := &Station{Config: c, Dial: func() (Socket, error) { return k, nil }, Problem: func(text string) { problem = text }, Logf: t.Logf}
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	time.Sleep(d)
	synctest.Wait()
	if during != nil {
		during()
	}
	cancel()
	<-done
	return problem
}

func TestStation(t *testing.T) {
	home := Config{SSID: "Home", Passphrase: "correct horse", Key: bytes.Repeat([]byte{0xab}, 32), Country: "DE"}
	joined := result(unix.NL80211_CMD_CONNECT, unix.NL80211_ATTR_STATUS_CODE, 0)
	visible := []Message{beacon("Home", -5000, true, wpa2), beacon("Café", -3000, true, wpa2)}
	run := func(name string, f func(t *testing.T)) { t.Run(name, func(t *testing.T) { synctest.Test(t, f) }) }

	run("joins, byte for byte, and joins again what is lost", func(t *testing.T) {
		k := &kernel{features: features, found: visible, results: []Message{joined}, radios: 1}
		problem := play(t, k, home, time.Minute, func() {
			if n := k.count(unix.NL80211_CMD_CONNECT); n != 1 {
				t.Errorf("%d times connected", n)
			}
			k.events <- result(unix.NL80211_CMD_DISCONNECT, unix.NL80211_ATTR_REASON_CODE, 4)
			time.Sleep(5 * time.Second)
			if n := k.count(unix.NL80211_CMD_CONNECT); n != 2 {
				t.Errorf("%d times connected after the network was lost", n)
			}
		})
		if problem != "" {
			t.Error(problem)
		}
		for command, want := range map[int]string{
			unix.NL80211_CMD_REQ_SET_REG:    "0700 2100 4445 00 00",
			unix.NL80211_CMD_SET_POWER_SAVE: "0800 0300 03000000 0800 5d00 00000000",
			unix.NL80211_CMD_CONNECT: "0800 0300 03000000" + "0800 3400 486f6d65" + // Home
				"0a00 c800 020000000032 0000" + "0800 c900 85090000" + "0400 4600" +
				"0800 4900 04ac0f00" + "0800 4a00 04ac0f00" + "0800 4c00 02ac0f00" + "0800 4b00 02000000" + "0800 3500 00000000" +
				"2400 fe00" + strings.Repeat("ab", 32),
		} {
			if got, want := k.last(command), fmt.Sprintf("%d %x", command, hexBytes(want)); got != want {
				t.Errorf("command %d:\n got %s\nwant %s", command, got, want)
			}
		}
		if k.count(unix.NL80211_CMD_DISCONNECT) != 1 {
			t.Error("did not leave at the end")
		}
	})
	run("WPA3 by its password", func(t *testing.T) {
		k := &kernel{features: features, found: []Message{beacon("Home", -5000, true, wpa3)}, results: []Message{joined}, radios: 1}
		if p := play(t, k, home, time.Second, nil); p != "" {
			t.Error(p)
		}
		asked := k.last(unix.NL80211_CMD_CONNECT)
		if !strings.Contains(asked, hex.EncodeToString(attr(unix.NL80211_ATTR_SAE_PASSWORD, []byte("correct horse")))) || strings.Contains(asked, strings.Repeat("ab", 32)) {
			t.Error(asked)
		}
	})
	for _, tc := range []struct {
		name   string
		kernel *kernel
		want   string
	}{
		{"a wrong passphrase", &kernel{features: features, found: visible, results: []Message{result(unix.NL80211_CMD_CONNECT, unix.NL80211_ATTR_STATUS_CODE, 16)}, radios: 1}, "passphrase in wifi.txt is most likely wrong"},
		{"a handshake that fails", &kernel{features: features, found: visible, results: []Message{result(unix.NL80211_CMD_DISCONNECT, unix.NL80211_ATTR_REASON_CODE, 15)}, radios: 1}, "passphrase in wifi.txt is most likely wrong"},
		{"an access point that is full", &kernel{features: features, found: visible, results: []Message{result(unix.NL80211_CMD_CONNECT, unix.NL80211_ATTR_STATUS_CODE, 17)}, radios: 1}, "refuses the board (refused, status 17)"},
		{"a radio that says nothing", &kernel{features: features, found: visible, radios: 1}, "most likely wrong"},
		{"a network that is not there", &kernel{features: features, found: visible[1:], radios: 1}, `was not seen. Seen were: "Café".`},
		{"silence on the air", &kernel{features: features, radios: 1}, "No other was seen either"},
		{"security that does not match", &kernel{features: features, found: []Message{beacon("Home", -5000, true, eap)}, radios: 1}, "protects itself in a way"},
		{"a radio without handshakes", &kernel{features: "00", found: visible, radios: 1}, "cannot join protected networks by itself"},
		{"no radio", &kernel{}, "No Wi-Fi radio was found"},
	} {
		run(tc.name, func(t *testing.T) {
			k := tc.kernel
			problem := play(t, k, home, 5*time.Minute, nil)
			if !strings.Contains(problem, tc.want) {
				t.Errorf("told %q, want %q", problem, tc.want)
			}
			if n := k.count(unix.NL80211_CMD_GET_INTERFACE); n < 4 || n > 12 {
				t.Errorf("%d attempts in five minutes", n)
			}
		})
	}
	run("one failed handshake is no wrong passphrase", func(t *testing.T) {
		k := &kernel{features: features, found: visible, results: []Message{result(unix.NL80211_CMD_CONNECT, unix.NL80211_ATTR_STATUS_CODE, 16), joined}, radios: 1}
		s := ""
		if problem := play(t, k, home, time.Minute, func() { s = k.last(unix.NL80211_CMD_CONNECT) }); problem != "" || s == "" {
			t.Errorf("told %q", problem)
		}
	})
}

func FuzzBSS(f *testing.F) {
	for _, s := range []string{"", wpa2, wpa3, both} {
		f.Add(beacon("Home", -5000, true, s).Attrs)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if bss, ok := parseBSS(b); ok && len(bss.ssid) > 32 {
			t.Errorf("a name of %d bytes", len(bss.ssid))
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte("ssid = a\nopen = yes\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := Parse(b); err == nil && (len(c.SSID) < 1 || len(c.SSID) > 32) {
			t.Errorf("%q", c.SSID)
		}
	})
}
