package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/bench"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/client"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
)

const benchHelp = `Usage: dunlin bench [FLAGS]

Loads an MQTT server: every client publishes its part of --rate, and receives
what all of them publish. Shows what was lost, came twice or out of order, and
how long messages took. Latency counts from the moment when a message was due.
Ctrl-C ends it early, with the figures up to then.

Only servers on this machine are loaded, unless they are yours to load:
--i-own-this-broker. The flags that connect are those of sub and pub.

Examples:
  dunlin bench
  dunlin bench --clients 50 --rate 2000 --duration 10s
  dunlin bench -q 2 --size 1024 -u me -P secret --json
  dunlin bench -h test.example --i-own-this-broker

Exit codes: 0 everything came once and in order, 1 it did not, 2 wrong usage, 4
cannot reach the server, 5 not authorized, 7 connection lost, 130 interrupted.
`

// benchFlags are the flags of bench.
type benchFlags struct {
	mqttFlags
	run    bench.Options
	socket string
	own    bool
	json   bool
}

func (f *benchFlags) register(fs *flags.Set) {
	o := &f.run
	fs.IntVar(&o.Clients, "clients", 20, "`N` clients, up to 1000")
	fs.Float64Var(&o.Rate, "rate", 200, "`N` messages a second, of all clients together")
	fs.IntVar(&o.Size, "size", 64, "`BYTES` of each payload, at least 16")
	fs.DurationVar(&o.Duration, "duration", 10*time.Second, "how long to send")
	fs.BoolVar(&o.Retain, "retain", false, "make the messages retained; they are cleared at the end")
	fs.BoolVar(&f.json, "json", false, "print the figures as JSON")
	fs.BoolVar(&f.own, "i-own-this-broker", false, "load a server on another machine")
	fs.StringVar(&f.socket, "socket", os.Getenv("DUNLIN_SOCKET"), "the gateway's `socket`, for its own figures; $DUNLIN_SOCKET")
	f.qos = 1
	f.mqttFlags.register(fs)
}

// check completes what options does not know about.
func (f *benchFlags) check() error {
	switch o := &f.run; {
	case f.fs.NArg() > 0:
		return errors.New("takes no arguments")
	case o.Clients < 1 || o.Clients > bench.MaxClients:
		return fmt.Errorf("--clients must be 1 to %d", bench.MaxClients)
	case !(o.Rate > 0 && o.Rate <= 1e6):
		return errors.New("--rate must be more than 0, and at most 1000000 messages a second")
	case o.Size < bench.MinSize || o.Size > maxPayload:
		return fmt.Errorf("--size must be %d to %d bytes", bench.MinSize, maxPayload)
	case o.Duration <= 0 || o.Duration > 24*time.Hour:
		return errors.New("--duration must be more than 0, and at most 24h")
	case o.Due() < 1:
		return errors.New("no message is due in --duration at this --rate")
	case f.persistent || f.will.topic != "":
		return errors.New("the clients of bench keep no session and leave no will")
	case !f.own && !isLocalTarget(&o.Client.Target):
		return fmt.Errorf("%s is not this machine: it may be somebody's live server; if it is yours to load, add --i-own-this-broker", o.Client.Target.Address)
	}
	return nil
}

// isLocalTarget reports whether a server is certainly on this machine.
func isLocalTarget(t *client.Target) bool {
	host, _, _ := net.SplitHostPort(t.Address) // no host is not local
	return t.Network == "unix" || host == "localhost" || net.ParseIP(host).IsLoopback()
}

func runBench(ctx context.Context, args []string, s streams) int {
	f := &benchFlags{}
	fs := flags.New("bench")
	f.register(fs)
	code, done := parseFlags(fs, joinProperties(fs, args), s, func(w io.Writer) { printHelp(w, benchHelp, fs) })
	if done {
		return code
	}
	var err error
	o := &f.run
	if o.Client, err = f.options(); err == nil {
		err = f.check()
	}
	if err != nil {
		return usageError(s, "bench", err.Error())
	}
	o.QoS = mqtt.QoS(f.qos)
	if f.debug {
		o.Client.Trace = tracer(newSerialWriter(s.out), s.out)
	}
	terminal := isTerminal(s.err)
	if terminal {
		o.Progress = func(n bench.Figures) {
			fmt.Fprintf(s.err, "\rsent %s   received %s   %s   %s left\x1b[K",
				count(n.Sent), count(n.Received), rate(float64(n.Sent)/n.Duration), span(max(0, o.Duration.Seconds()-n.Duration)))
		}
	}
	before := f.gateway(ctx, s)
	n, err := bench.Run(ctx, *o)
	if terminal {
		fmt.Fprint(s.err, "\r\x1b[K")
	}
	if n.Sent > 0 {
		after := f.gateway(context.WithoutCancel(ctx), s)
		if werr := f.write(s.out, &n, before, after); err == nil {
			err = werr
		}
	}
	switch {
	case errors.Is(err, bench.ErrDenied):
		fmt.Fprintf(s.err, "Error: %v: the user needs rights to publish and subscribe bench/#\n", err)
		return exitRefused
	case err != nil || ctx.Err() != nil:
		return reportEnd(ctx, s.err, err)
	case !n.Whole():
		return exitFailed
	}
	return exitDone
}

// gateway asks the gateway on this machine how it is; nil if it does not
// answer, which is no failure: the server may be another.
func (f *benchFlags) gateway(ctx context.Context, s streams) *api.Status {
	q := &asker{s: s, flags: f.fs, socket: f.socket, patience: 2 * time.Second}
	st := new(api.Status)
	if !isLocalTarget(&f.run.Client.Target) {
		return nil
	}
	if _, err := q.get(ctx, "GET", "/api/v1/status", st); err != nil {
		return nil
	}
	return st
}

// benchReport is what --json prints.
type benchReport struct {
	API string `json:"api"`
	bench.Figures
	Gateway *benchGateway `json:"gateway,omitempty"`
}

// benchGateway is what the gateway says of itself.
type benchGateway struct {
	CPU    float64 `json:"cpu"`    // seconds a second
	Memory int64   `json:"memory"` // bytes
}

func (f *benchFlags) write(w io.Writer, n *bench.Figures, before, after *api.Status) error {
	r := benchReport{API: "v1", Figures: *n}
	if before != nil && after != nil && after.Uptime > before.Uptime {
		r.Gateway = &benchGateway{(after.CPU - before.CPU) / (after.Uptime - before.Uptime), after.Memory}
	}
	if f.json {
		return json.NewEncoder(w).Encode(&r)
	}
	text := "sent " + count(n.Sent)
	if n.Sent < uint64(n.Due) {
		text += " of " + count(n.Due)
	}
	text += "   received " + count(n.Received) + " of " + count(n.Expected) + "   lost " + count(n.Lost) +
		"   duplicate " + count(n.Duplicate) + "   out of order " + count(n.OutOfOrder)
	if n.Refused > 0 {
		text += "   refused " + count(n.Refused)
	}
	text += "\nlatency  p50 " + brief(n.P50) + "   p95 " + brief(n.P95) + "   p99 " + brief(n.P99) + "   max " + brief(n.Max) + "\n"
	if g := r.Gateway; g != nil {
		text += fmt.Sprintf("gateway  cpu %.0f %%   memory %s\n", 100*g.CPU, size(g.Memory))
	}
	_, err := io.WriteString(w, text)
	return err
}

// brief words a latency in seconds with two digits: "690 µs", "1.9 ms".
func brief(seconds float64) string {
	d, digit := time.Duration(seconds*1e9), time.Duration(1)
	for digit*100 <= d {
		digit *= 10
	}
	text := d.Round(digit).String()
	number := strings.TrimRight(text, "nµms")
	return number + " " + text[len(number):]
}
