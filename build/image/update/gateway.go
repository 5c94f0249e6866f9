package update

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

// Health is what a new version must have as well as the one before it.
type Health struct {
	MQTT    bool     `json:"mqtt"`            // an MQTT server answers: all that versions knew before they knew doors
	Devices int      `json:"devices"`         // that are online
	Doors   []string `json:"doors,omitempty"` // that are open
}

// worse says what a gateway lacks that had h, or nil.
func (h Health) worse(than Health) error {
	for _, d := range than.Doors {
		if !slices.Contains(h.Doors, d) {
			return fmt.Errorf("nobody answers at %s, before the update somebody did", d)
		}
	}
	switch {
	case !h.MQTT && than.MQTT:
		return errors.New("no MQTT server answers, before the update one did")
	case h.Devices < than.Devices:
		return fmt.Errorf("%d devices are online, before the update %d were", h.Devices, than.Devices)
	}
	return nil
}

// Local is the gateway on this machine.
type Local struct {
	API string // the Unix socket of its API
}

// askIn is how long one question may take.
const askIn = 10 * time.Second

// Health asks the gateway how it is; an error means that it is not up: its
// API, which opens behind the listeners, does not answer, or its broker or
// store fail their own test.
func (l Local) Health(ctx context.Context) (h Health, err error) {
	ctx, cancel := context.WithTimeout(ctx, askIn)
	defer cancel()
	if _, err := l.ask(ctx, "GET", "/readyz?verbose", nil); err != nil {
		return h, err
	}
	body, err := l.ask(ctx, "GET", "/api/v1/status", nil)
	if err != nil {
		return h, err
	}
	var status struct {
		Devices []struct{ State string }
	}
	if err := json.Unmarshal(body, &status); err != nil {
		return h, fmt.Errorf("the gateway's status: %w", err)
	}
	for _, d := range status.Devices {
		if d.State == "online" {
			h.Devices++
		}
	}
	doors, err := l.Doors(ctx)
	if err != nil {
		return h, err
	}
	h.Doors, h.MQTT = knocked(ctx, doors)
	return h, nil
}

// Publish has the gateway retain a value on one of Topics.
func (l Local) Publish(ctx context.Context, topic, value string) error {
	ctx, cancel := context.WithTimeout(ctx, askIn)
	defer cancel()
	body, err := json.Marshal(map[string]any{"topic": topic, "payload": value, "retain": true})
	if err == nil {
		_, err = l.ask(ctx, "POST", "/api/v1/publish", body)
	}
	return err
}

// ask is a request over the API's socket. Only 200 and 204 are answers.
func (l Local) ask(ctx context.Context, method, target string, question []byte) ([]byte, error) {
	c, err := dial(ctx, "unix", l.API)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s", method, target, len(question), question); err != nil {
		return nil, err
	}
	const most = 16 << 20 // thousands of devices with their values
	in := bufio.NewReader(io.LimitReader(c, most))
	first, err := in.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("%s: %w", target, err)
	}
	for line := first; strings.TrimSpace(line) != ""; {
		if line, err = in.ReadString('\n'); err != nil {
			return nil, fmt.Errorf("%s: %w", target, err)
		}
	}
	body, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", target, err)
	}
	if fields := strings.Fields(first); len(fields) < 2 || fields[1] != "200" && fields[1] != "204" {
		return nil, fmt.Errorf("%s answers %s: %s", target, strings.TrimSpace(first), strings.Join(strings.Fields(string(body)), " "))
	}
	return body, nil
}

// dial connects; all of the conversation ends with ctx's deadline.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if end, ok := ctx.Deadline(); ok {
		c.SetDeadline(end)
	}
	return c, nil
}
