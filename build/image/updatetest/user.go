package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/update"
)

const (
	user, password = "carol", "curlew-whimbrel-godwit"
	token          = "turnstone-sanderling-knot"
)

const configuration = `
mqtt: {listeners: [{bind: ":1883"}]}
auth:
  users_file: users
  rules: [{user: carol, publish: ["#"], subscribe: ["#", "$SYS/#"]}]
store: {durability: always}
http: {bind: ":8083", tokens: [{name: test, token: "` + token + `", role: admin}]}
devices: [{name: host, driver: system}]
`

// up waits until the gateway lets its user in.
func (t *trial) up(what string) bool {
	if err := errors.Join(t.m.Connected(patience), t.m.Says("the gateway serves", patience)); err != nil {
		return t.check(what, err)
	}
	err := t.publish("up", what)
	for range 5 { // a busy machine lets a connection lapse
		if err == nil {
			break
		}
		time.Sleep(time.Second)
		err = t.publish("up", what)
	}
	return t.check(what, err)
}

func (t *trial) client(name string, args ...string) (string, error) {
	host, port, err := net.SplitHostPort(t.m.Address(1883))
	if err != nil {
		return "", err
	}
	out, err := exec.Command(name, append([]string{"-h", host, "-p", port, "-u", user, "-P", password}, args...)...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return strings.TrimSpace(string(out)), err
}

// publish sends a retained message and waits for its PUBACK.
func (t *trial) publish(topic, payload string) error {
	_, err := t.client("mosquitto_pub", "-q", "1", "-r", "-t", topic, "-m", payload)
	return err
}

// kept wants the message that was published before the first update.
func (t *trial) kept() error {
	got, err := t.client("mosquitto_sub", "-t", "kept", "-C", "1", "-W", "30", "--retained-only")
	return is(err, got == "through updates", got)
}

// told wants to read of the first update's end below $SYS.
func (t *trial) told() (err error) {
	for end := time.Now().Add(patience); ; time.Sleep(time.Second) {
		var got string
		got, err = t.client("mosquitto_sub", "-t", update.Topics+"#", "-C", "3", "-W", "10", "-v")
		good := strings.Contains(got, "/state committed") && strings.Contains(got, "/slot 3") && strings.Contains(got, "/version 9.0.0")
		if err = is(err, good, got); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// ask asks the gateway's API for updates.
func (t *trial) ask(method string, file []byte) (int, string, error) {
	r, err := http.NewRequest(method, "http://"+t.m.Address(8083)+"/api/v1/update", bytes.NewReader(file))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Expect", "100-continue") // who is not let in sends no file
	client := &http.Client{Timeout: sending, Transport: &http.Transport{ExpectContinueTimeout: patience}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// install brings an update into the idle slot: the guest does, or, since a
// slot takes minutes over QEMU's USB, the guest's own code on this machine
// while the board is off.
func (t *trial) install(what string, file []byte) bool {
	if t.network {
		return t.sends(what, file)
	}
	t.cut()
	return t.check(what+" is written", t.write(file))
}

// sends sends an update to the guest, which writes it and restarts into it;
// refuses wants it not to.
func (t *trial) sends(what string, file []byte) bool {
	code, text, err := t.ask("POST", file)
	return t.check(what+" is taken over the network", is(err, code == 200, text)) && t.check("and its slot is to be tried", t.restarts(true))
}

func (t *trial) refuses(file []byte, why string) error {
	code, text, err := t.ask("POST", file)
	return is(err, code == 422 && strings.Contains(text, why), text)
}

// says wants a word of the updater's status.
func (t *trial) says(what string) error {
	_, text, err := t.ask("GET", nil)
	return is(err, strings.Contains(text, what), text)
}
