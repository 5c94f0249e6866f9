package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"os"
)

// hashing is how long an emulated board may need for a password.
const hashing = time.Minute

// connect sends a CONNECT of MQTT 3.1.1 and returns the server's return code:
// 0 for accepted, 4 and 5 for refused.
func connect(address, user, password string, patience time.Duration) (code byte, err error) {
	c, err := net.DialTimeout("tcp", address, 2*time.Second)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	text := func(b []byte, s string) []byte { return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...) }
	body, flags := text(nil, "MQTT"), byte(2) // Clean Session
	if user != "" {
		flags |= 0xc0
	}
	body = text(append(body, 4, flags, 0, 30), "boottest")
	if user != "" {
		body = text(text(body, user), password)
	}
	if _, err := c.Write(append([]byte{0x10, byte(len(body))}, body...)); err != nil {
		return 0, err
	}
	var ack [4]byte
	if _, err := io.ReadFull(c, ack[:]); err != nil {
		return 0, err
	}
	if ack[0] != 0x20 {
		return 0, fmt.Errorf("% x is no CONNACK", ack)
	}
	return ack[3], nil
}

// lets wants a CONNACK with code 0; refuses one with another.
func lets(address, user, password string) error {
	code, err := connect(address, user, password, hashing)
	if err == nil && code != 0 {
		err = fmt.Errorf("CONNACK with return code %d", code)
	}
	return err
}

// answers knocks once, for a moment.
func answers(address string) error {
	_, err := connect(address, "", "", 2*time.Second)
	return err
}

func refuses(address, user, password string) error {
	code, err := connect(address, user, password, hashing)
	if err == nil && code == 0 {
		err = errors.New("it is let in")
	}
	return err
}

// mosquitto is a broker on this machine, for a gateway's bridge.
type mosquitto struct {
	cmd  *exec.Cmd
	port int
}

func startMosquitto(dir string) (*mosquitto, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &mosquitto{port: l.Addr().(*net.TCPAddr).Port}
	l.Close()
	conf := filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "listener %d 127.0.0.1\nallow_anonymous true\nuser root\n", m.port), 0o644); err != nil {
		return nil, err
	}
	m.cmd = exec.Command("mosquitto", "-c", conf)
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return m, m.cmd.Start()
}

func (m *mosquitto) stop() {
	m.cmd.Process.Kill()
	m.cmd.Wait()
}

// retained is what a server keeps under a topic; it waits for it, a minute if
// a password is to be hashed.
func retained(address, user, password, topic string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	wait := "5"
	var as []string
	if user != "" {
		wait, as = "60", []string{"-u", user, "-P", password} // it is hashed
	}
	args := append(as, "-h", host, "-p", port, "-t", topic, "-C", "1", "-W", wait, "--retained-only")
	out, err := exec.Command("mosquitto_sub", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("nothing is retained under %s: %w %s", topic, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// publish sends a retained message with QoS 1 and waits for its PUBACK.
func publish(address, user, password, topic, payload string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	out, err := exec.Command("mosquitto_pub", "-h", host, "-p", port, "-u", user, "-P", password, "-q", "1", "-r", "-t", topic, "-m", payload).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mosquitto_pub: %w: %s", err, out)
	}
	return nil
}
