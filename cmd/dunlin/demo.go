package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
	"github.com/dunlin-mqtt/dunlin/config"
)

//go:embed demo.yaml
var demoConfig []byte

// demo is a gateway and its cloud in one process, with a link between them
// that fails on purpose.
type demo struct {
	link     demoLink
	cloud    *broker.Broker
	observer *broker.Client // subscribed in the cloud, persistent
	gateway  *gateway
	story    *story
	node     string
	cycle    time.Duration // from one outage to the next
	outage   time.Duration // how long each takes
}

// runDemo is `dunlin demo`.
func runDemo(ctx context.Context, args []string, s streams) int {
	fs := flags.New("demo")
	port := fs.IntP("port", "p", 1883, "MQTT `port` of the gateway; a free one near it when it is taken")
	cloudPort := fs.Int("cloud-port", 1884, "MQTT `port` of the pretended cloud")
	httpPort := fs.Int("http-port", 8083, "`port` of the page")
	cycle := fs.Duration("cycle", 2*time.Minute, "time from one outage to the next")
	outage := fs.Duration("outage", 40*time.Second, "how long an outage takes")
	verbose := fs.BoolP("verbose", "v", false, "show the log too")
	if code, done := parseFlags(fs, args, s, helpDemo(fs)); done {
		return code
	}
	if fs.NArg() > 0 {
		return usageError(s, "demo", "takes no arguments")
	}
	if *outage <= 0 || *cycle <= *outage {
		return usageError(s, "demo", "--cycle must be longer than --outage, and both more than 0")
	}
	d := &demo{story: &story{w: s.out}, cycle: *cycle, outage: *outage}
	log := slog.New(slog.DiscardHandler)
	if *verbose {
		log = slog.New(slog.NewTextHandler(s.err, nil))
	}
	if err := d.wire(*port, *cloudPort, *httpPort, log); err != nil {
		fmt.Fprintf(s.err, "dunlin demo: %v\n", err)
		return exitFailed
	}
	if err := d.run(ctx); err != nil {
		fmt.Fprintf(s.err, "dunlin demo: %v\n", err)
		return exitFailed
	}
	return exitDone
}

func helpDemo(fs *flags.Set) func(io.Writer) {
	return func(w io.Writer) {
		fmt.Fprint(w, `Usage: dunlin demo [flags]

Runs a gateway with this machine's own values and simulated sensors, and a
second server as "the cloud". Their link drops for a while every two minutes:
see what waits and what drains. Nothing is written to disk; only this machine
can connect.

Flags:
`, fs.FlagUsages(), `
Examples:
  dunlin demo
  dunlin demo --cycle 30s --outage 10s     outages for the impatient
`)
	}
}

// wire makes both sides; ports that are taken are replaced.
func (d *demo) wire(port, cloudPort, httpPort int, log *slog.Logger) error {
	cloud, err := listenNear(fmt.Sprintf("127.0.0.1:%d", cloudPort))
	if err != nil {
		return err
	}
	d.cloud, err = broker.New(broker.Options{
		Listeners: []broker.ListenerOptions{{Name: "cloud", Listener: cloud}},
		Log:       log.With("side", "cloud"),
	})
	if err != nil {
		cloud.Close()
		return err
	}
	d.observer, err = d.cloud.Attach(broker.ClientOptions{ID: "observer", CleanStart: true, QueueMessages: 100_000})
	if err != nil {
		cloud.Close()
		return err
	}
	env := map[string]string{"DEMO_MQTT": fmt.Sprintf("127.0.0.1:%d", port), "DEMO_CLOUD": cloud.Addr().String(), "DEMO_HTTP": fmt.Sprintf("127.0.0.1:%d", httpPort)}
	cfg, errs := config.Load("demo.yaml", demoConfig, tables(), func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	})
	if len(errs) > 0 {
		cloud.Close()
		return errs
	}
	d.node = cfg.Node
	d.gateway, err = wire(cfg, deps{
		log: log.With("side", "gateway"), listen: listenNear, dial: d.link.Dial,
		onEvent: d.story.bridgeEvent, retryMax: 2 * time.Second, volatile: true, control: true,
	})
	if err != nil {
		cloud.Close()
		return err
	}
	d.story.welcome(d, []int{port, cloudPort, httpPort}, d.gateway.addresses[0], cloud.Addr(), d.gateway.page)
	return nil
}

// run plays the demo until ctx ends.
func (d *demo) run(ctx context.Context) error {
	parts := []part{
		{"cloud", d.cloud.Run},
		{"observer", d.observe},
		{"gateway", d.gateway.Run},
		{"weather", d.weather},
	}
	err := runParts(ctx, parts)
	d.story.farewell()
	return err
}

// observe counts what arrives in the cloud.
func (d *demo) observe(ctx context.Context) error {
	err := d.observer.Subscribe(ctx, mqtt.Subscription{Filter: "sites/#", QoS: mqtt.AtLeastOnce})
	for err == nil {
		if _, err = d.observer.Next(ctx); err == nil {
			d.story.arrived()
		}
	}
	if ctx.Err() != nil || errors.As(err, new(*mqtt.Error)) {
		return nil // the stop of the demo, or of its cloud
	}
	return err
}

// weather cuts and mends the link, and reports in between.
func (d *demo) weather(ctx context.Context) error {
	report := time.NewTicker(10 * time.Second)
	defer report.Stop()
	change := time.NewTimer(d.cycle - d.outage)
	defer change.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-report.C:
			d.story.report(d.gateway.bridges[0].Stats())
		case <-change.C:
			if d.link.isCut() {
				d.story.say("link up", "the line to the cloud is back")
				d.link.Mend()
				change.Reset(d.cycle - d.outage)
				continue
			}
			d.story.say("link down", "the line to the cloud is cut for %s; values go on and wait", d.outage)
			d.link.Cut()
			change.Reset(d.outage)
		}
	}
}

func portOf(a net.Addr) int {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.Port
	}
	return 0
}
