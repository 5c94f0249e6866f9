package update

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Door is where the network reaches the gateway.
type Door struct {
	Kind string         // mqtt, websocket or page
	TLS  bool           // around it
	Path string         // of a websocket
	At   netip.AddrPort // an unspecified address: every one of the machine
}

// String names it: "mqtt :1883", "websocket with TLS 10.0.0.1:443".
func (d Door) String() string {
	text, host := d.Kind, ""
	if d.TLS {
		text += " with TLS"
	}
	if !d.At.Addr().IsUnspecified() {
		host = d.At.Addr().String()
	}
	return text + " " + net.JoinHostPort(host, strconv.Itoa(int(d.At.Port())))
}

// Doors are those of the settings that the gateway carries out now.
func (l Local) Doors(ctx context.Context) ([]Door, error) {
	ctx, cancel := context.WithTimeout(ctx, askIn)
	defer cancel()
	body, err := l.ask(ctx, "GET", "/api/v1/config", nil)
	if err != nil {
		return nil, err
	}
	var all struct {
		Settings []struct{ Path, Value string }
	}
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, fmt.Errorf("the gateway's settings: %w", err)
	}
	of := map[string]string{}
	for _, s := range all.Settings {
		of[s.Path] = s.Value
	}
	var doors []Door
	for _, s := range all.Settings {
		at, ok := bound(s.Value)
		if !ok {
			continue
		}
		if s.Path == "http.bind" {
			doors = append(doors, Door{Kind: "page", At: at})
		}
		listener, isBind := strings.CutSuffix(s.Path, "bind")
		if !isBind || !strings.HasPrefix(listener, "mqtt.listeners.") || of[listener+"moved_to"] != "" {
			continue
		}
		_, secure := of[listener+"tls.cert"]
		d := Door{Kind: of[listener+"protocol"], TLS: secure, At: at}
		if d.Kind == "websocket" {
			d.Path = of[listener+"path"]
		}
		doors = append(doors, d)
	}
	return doors, nil
}

// bound reads host:port; ok is false for what no other machine could reach by
// it: sockets of files, lines, and names.
func bound(text string) (at netip.AddrPort, ok bool) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return at, false
	}
	number, err := net.LookupPort("tcp", port)
	if err != nil || number == 0 {
		return at, false
	}
	addr := netip.IPv6Unspecified()
	if host != "" {
		if addr, err = netip.ParseAddr(host); err != nil {
			return at, false
		}
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(number)), true
}

// knocked are the doors behind which somebody answers as the kind of door
// wants, and whether one of them is an MQTT server's.
func knocked(ctx context.Context, doors []Door) (open []string, mqtt bool) {
	for _, d := range doors {
		if d.knock(ctx) == nil {
			open = append(open, d.String())
			mqtt = mqtt || d.Kind == "mqtt"
		}
	}
	return open, mqtt
}

// knock asks a door for what every client gets without a password. Of TLS it
// is only that somebody listens.
func (d Door) knock(ctx context.Context) error {
	at := d.At
	if at.Addr().IsUnspecified() {
		at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	}
	c, err := dial(ctx, "tcp", at.String())
	if err != nil {
		return err
	}
	defer c.Close()
	switch {
	case d.TLS:
		return nil
	case d.Kind == "mqtt":
		return connack(c)
	case d.Kind == "websocket": // which says what it wants instead
		return answers(c, d.Path, "")
	}
	return answers(c, "/", "200")
}

// connack sends an MQTT 3.1.1 CONNECT and wants a CONNACK, whatever its code:
// this client has no password.
func connack(c io.ReadWriter) error {
	if _, err := io.WriteString(c, "\x10\x0c\x00\x04MQTT\x04\x02\x00\x0a\x00\x00"); err != nil {
		return err
	}
	var answer [2]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return err
	}
	if answer != [2]byte{0x20, 2} {
		return errors.New("not MQTT")
	}
	_, err := io.WriteString(c, "\xe0\x00") // it may have been let in
	return err
}

// answers wants a status of HTTP: this one, or any.
func answers(c io.ReadWriter, path, status string) error {
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err
	}
	if fields := strings.Fields(line); len(fields) < 2 || !strings.HasPrefix(fields[0], "HTTP/") || status != "" && fields[1] != status {
		return fmt.Errorf("it answers %q", strings.TrimSpace(line))
	}
	return nil
}
