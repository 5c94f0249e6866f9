package main

import (
	"strings"
	"testing"
)

// FuzzTexts holds what comes from outside init, from a card or the kernel, to
// what the code behind relies on.
func FuzzTexts(f *testing.F) {
	f.Add("carol:curlew-whimbrel\r\n")
	f.Add("console=tty1 quiet dunlin.slot=3")
	f.Add("add@/devices/tty/ttyUSB0\x00ACTION=add\x00DEVNAME=ttyUSB0\x00")
	f.Add("00000000deadbeef\x00")
	f.Fuzz(func(t *testing.T, text string) {
		if user, password, err := parsePassword(text); err == nil && (user == "" || len(password) < 8 || strings.ContainsAny(user+password, "\r\n\x00")) {
			t.Errorf("a password of %q: %q, %q", text, user, password)
		}
		if name := addedDevice([]byte(text)); strings.Contains(name, "/") {
			t.Errorf("a device %q", name)
		}
		if _, odd := commandLine(text)[""]; odd && !strings.Contains(text, "=") {
			t.Errorf("an option without a name in %q", text)
		}
		newLife().told(text, t0)
	})
}
