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
)

const (
	user, password = "carol", "curlew-whimbrel-godwit"
	token          = "turnstone-sanderling-knot"
)

const configuration = `
mqtt: {listeners: [{bind: ":1883"}]}
auth:
  users_file: users
  rules: [{user: carol, publish: ["#"], subscribe: ["#"]}]
store: {durability: always}
http: {bind: ":8083", tokens: [{name: test, token: "` + token + `", role: admin}]}
devices: [{name: host, driver: system}]
`

// up waits until the gateway lets its user in.
func (t *trial) up(what string) bool {
	err := t.publish("up", what)
	for end := time.Now().Add(patience); err != nil && time.Now().Before(end); err = t.publish("up", what) {
		select {
		case <-t.m.Ended():
			return t.check(what, errors.New("the machine ended"))
		case <-time.After(200 * time.Millisecond):
		}
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

// ask asks the gateway's API for updates.
func (t *trial) ask(method string, file []byte) (int, string, error) {
	r, err := http.NewRequest(method, "http://"+t.m.Address(8083)+"/api/v1/update", bytes.NewReader(file))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Expect", "100-continue") // who is not let in sends no file
	client := &http.Client{Timeout: patience, Transport: &http.Transport{ExpectContinueTimeout: patience}}
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
// slot takes minutes over QEMU's network, the guest's own code on this machine
// while the board is off.
func (t *trial) install(what string, file []byte) bool {
	if t.network {
		return t.check(what+" is taken", t.send(file)) && t.check("and the other slot is to be tried", t.restarts(true))
	}
	t.cut()
	return t.check(what+" is written", t.write(file))
}

// send wants an update to be taken; refuses, that it is not.
func (t *trial) send(file []byte) error {
	code, text, err := t.ask("POST", file)
	return is(err, code == 200, text)
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
