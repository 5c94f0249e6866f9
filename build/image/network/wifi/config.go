package wifi

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/dunlin-mqtt/dunlin/build/image/network/settings"
)

// Config is what wifi.txt says.
type Config struct {
	SSID       string // 1 to 32 bytes
	Passphrase string // 8 to 63 characters; empty: Key, or an open network
	Key        []byte // 32 bytes: the pre-shared key; nil for an open network
	Country    string // two letters; empty: the world's common channels
	Hidden     bool
}

// Parse reads wifi.txt:
//
//	ssid = Home
//	passphrase = correct horse battery
//	country = DE
//	hidden = no
//
// In place of a passphrase there may be 64 hexadecimal digits, the key itself
// (WPA2 only), or open = yes. Errors name the line and what would be right.
func Parse(data []byte) (Config, error) {
	const name = "wifi.txt"
	v, err := settings.Parse(name, data, "ssid", "passphrase", "country", "hidden", "open")
	if err != nil {
		return Config{}, err
	}
	c := Config{SSID: v["ssid"].Text, Country: strings.ToUpper(v["country"].Text)}
	if n := len(c.SSID); n < 1 || n > 32 {
		return Config{}, fmt.Errorf("%s: ssid: a network's name has 1 to 32 bytes, not %d", name, n)
	}
	if p, ok := v["country"]; ok && !twoLetters(c.Country) {
		return Config{}, fmt.Errorf("%s:%d: country %q: expected two letters, like DE or US", name, p.Line, p.Text)
	}
	if c.Hidden, err = yes(name, "hidden", v["hidden"]); err != nil {
		return Config{}, err
	}
	open, err := yes(name, "open", v["open"])
	if err != nil {
		return Config{}, err
	}
	p, secret := v["passphrase"]
	switch {
	case secret && open:
		return Config{}, fmt.Errorf("%s:%d: an open network has no passphrase: remove one of the two lines", name, p.Line)
	case !secret && !open:
		return Config{}, fmt.Errorf("%s: no passphrase: add one, or open = yes for a network without", name)
	case open:
		return c, nil
	}
	if len(p.Text) == 64 {
		if c.Key, err = hex.DecodeString(p.Text); err != nil {
			return Config{}, fmt.Errorf("%s:%d: a passphrase of 64 characters is a key, in hexadecimal digits", name, p.Line)
		}
		return c, nil
	}
	if !passphrase(p.Text) {
		return Config{}, fmt.Errorf("%s:%d: a passphrase has 8 to 63 characters of ASCII, this one has %d bytes", name, p.Line, len(p.Text))
	}
	c.Passphrase = p.Text
	// IEEE 802.11-2020, J.4: PBKDF2 with HMAC-SHA-1, 4096 rounds, 256 bits.
	c.Key, err = pbkdf2.Key(sha1.New, p.Text, []byte(c.SSID), 4096, 32)
	return c, err
}

func twoLetters(s string) bool {
	return len(s) == 2 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z'
}

func yes(file, key string, v settings.Value) (bool, error) {
	switch strings.ToLower(v.Text) {
	case "yes", "true":
		return true, nil
	case "", "no", "false":
		return false, nil
	}
	return false, fmt.Errorf("%s:%d: %s %q: expected yes or no", file, v.Line, key, v.Text)
}

func passphrase(s string) bool {
	for _, b := range []byte(s) {
		if b < 32 || b > 126 {
			return false
		}
	}
	return len(s) >= 8 && len(s) <= 63
}
