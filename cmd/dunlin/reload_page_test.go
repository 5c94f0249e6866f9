//go:build linux

package main

import (
	"net"
	"strings"
	"testing"
)

// The page moves to another address, also of the same port, when a reload says
// so, that one included which came to the old address; an address that is taken
// changes nothing, and an empty one ends it.
func TestReloadMovesThePage(t *testing.T) {
	a, b := freeAddress(t), freeAddress(t)
	f := startFromFile(t, "http: {bind: \""+a+"\", tokens: [{name: x, token: secret, role: admin}]}\nmqtt: {listeners: [{bind: \"127.0.0.1:0\", anonymous: true}]}\n")
	client := mqttClient(t, dialTCP(t, f.address), "stays")
	page := func(address string) *remote { return &remote{t: t, base: "http://" + address} }
	opens := func(address string) bool {
		nc, err := net.Dial("tcp", address)
		if err == nil {
			nc.Close()
		}
		return err == nil
	}
	bind := func(from, to string) { f.write(strings.ReplaceAll(f.text, `bind: "`+from+`", t`, `bind: "`+to+`", t`)) }

	bind(a, f.address)
	if code, _, stderr := runTool(t, "reload"); code != exitFailed || !strings.Contains(stderr, "http.bind") || !strings.Contains(stderr, "nothing is changed") || !opens(a) {
		t.Errorf("an address that is taken: %d %s", code, stderr)
	}
	bind(f.address, b)
	got := page(a).do("POST", "/api/v1/reload", "", "Authorization", "Bearer secret")
	if got.status != 200 || !strings.Contains(got.body, `"path":"http.bind"`) || !strings.Contains(got.body, `"effect":"live"`) {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if !opens(b) || opens(a) {
		t.Error("the page has not moved")
	}
	if got := page(b).do("GET", "/api/v1/session", "", "Authorization", "Bearer secret"); !strings.Contains(got.body, `"role":"admin"`) {
		t.Errorf("who was known before is not known there: %d %s", got.status, got.body)
	}
	_, port, _ := net.SplitHostPort(b)
	bind(b, ":"+port)
	if code, out, stderr := runTool(t, "reload"); code != exitDone || !strings.Contains(out, "live") || !opens(b) || !opens("127.0.0.2:"+port) {
		t.Errorf("all addresses of the same port: %d %s%s", code, out, stderr)
	}
	bind(":"+port, "")
	if code, out, stderr := runTool(t, "reload"); code != exitDone || !strings.Contains(out, "live") || opens(b) {
		t.Errorf("off: %d %s%s", code, out, stderr)
	}
	bind("", b)
	if code, out, stderr := runTool(t, "reload"); code != exitDone || !strings.Contains(out, "live") || !opens(b) {
		t.Errorf("on again: %d %s%s", code, out, stderr)
	}
	// Where a listener of MQTT has the page's address it is as at the start, and stays so.
	f.write(strings.Replace(f.text, "listeners: [", "listeners: [{bind: \""+a+"\", protocol: websocket, anonymous: true}, ", 1))
	bind(b, a)
	if code, out, stderr := runTool(t, "reload", "--dry-run"); code != exitDone || strings.Contains(out, "http.bind") {
		t.Errorf("shared: %d %s%s", code, out, stderr)
	}
	if !alive(client) {
		t.Error("a client of MQTT was disconnected")
	}
}
