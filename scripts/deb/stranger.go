package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// patience is how long a stranger waits for an answer: a port that is closed
// behind QEMU's network closes the connection at once.
const patience = 30 * time.Second

// connectMQTT sends a CONNECT of MQTT 3.1.1, without a password if user is "",
// and returns the Connect Return code; an error when there is no answer.
func connectMQTT(address, user, password string) (code byte, err error) {
	c, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	body := []byte("\x00\x04MQTT\x04\x02\x00\x3c\x00\x08stranger")
	if user != "" {
		body[7] |= 0xc0
		for _, text := range []string{user, password} {
			body = append(binary.BigEndian.AppendUint16(body, uint16(len(text))), text...)
		}
	}
	if _, err := c.Write(append([]byte{0x10, byte(len(body))}, body...)); err != nil {
		return 0, err
	}
	var answer [4]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return 0, err
	}
	if answer[0] != 0x20 {
		return 0, fmt.Errorf("% x is no CONNACK", answer)
	}
	return answer[3], nil
}

// request makes an HTTP request; status 0 says that nobody answered.
func request(method, address, path, body string, headers ...string) (status int, header http.Header, text string) {
	r, err := http.NewRequest(method, "http://"+address+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err.Error()
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		return 0, nil, err.Error()
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, nil, err.Error()
	}
	return answer.StatusCode, answer.Header, string(b)
}

// listener is a socket of the machine that takes connections or datagrams.
type listener struct {
	protocol, address string
	port, uid         int
}

// local says that nobody in the network reaches it.
func (l listener) local() bool {
	switch len(l.address) {
	case 8:
		return strings.HasSuffix(l.address, "7F") // 127.0.0.0/8, the lowest byte first
	case 32:
		return l.address == "00000000000000000000000001000000" || strings.HasPrefix(l.address, "0000000000000000FFFF0000") && strings.HasSuffix(l.address, "7F")
	}
	return false
}

func (l listener) String() string {
	return fmt.Sprintf("%s port %d on %s of user %d", l.protocol, l.port, l.address, l.uid)
}

// listeners reads the files of /proc/net, each after a line with its name.
func listeners(text string) (found []listener, err error) {
	protocol := ""
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) == 1 {
			protocol = f[0]
		}
		if len(f) < 10 || f[0] == "sl" {
			continue
		}
		var l listener
		l.protocol = protocol
		address, port, _ := strings.Cut(f[1], ":")
		l.address = address
		if _, err := fmt.Sscanf(port+" "+f[7], "%x %d", &l.port, &l.uid); err != nil {
			return nil, fmt.Errorf("%q: %w", lines.Text(), err)
		}
		if strings.HasPrefix(protocol, "tcp") && f[3] == "0A" || strings.HasPrefix(protocol, "udp") && f[3] == "07" {
			found = append(found, l)
		}
	}
	if protocol == "" {
		return nil, errors.New("no table of sockets")
	}
	return found, nil
}
