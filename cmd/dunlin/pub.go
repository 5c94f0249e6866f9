package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/client"
)

func runPub(ctx context.Context, args []string, s streams) int {
	pub, code, done := parsePub(args, s)
	if done {
		return code
	}
	if pub.flags.fs.Changed("clear") {
		q := newAsker("pub", "", s)
		if err := clearTopics(ctx, q, pub.flags.clear, pub.flags.yes); err != nil {
			return q.fail(err)
		}
		return exitDone
	}
	if pub.flags.lines {
		return pub.runLines(ctx, s.in)
	}
	if err := pub.load(s.in); err != nil {
		fmt.Fprintf(pub.err, "Error: %v\n", err)
		return exitFailed
	}
	return pub.run(ctx)
}

// publisher is one run of pub.
type publisher struct {
	flags   *pubFlags
	options client.Options
	session client.Session
	err     io.Writer
	payload []byte
	aliased bool // the Topic Alias is known to the server

	outcome struct {
		sync.Mutex
		code int // of the first publication that the server refused
	}
}

// run publishes the message as often as asked, each time after the one before
// was acknowledged.
func (p *publisher) run(ctx context.Context) int {
	conn, err := client.Connect(ctx, p.options, &p.session)
	if err != nil {
		return reportEnd(ctx, p.err, err)
	}
	delay := time.Duration(p.flags.repeatDelay * float64(time.Second))
	for i := 0; i < p.flags.repeat && err == nil; i++ {
		if i > 0 && delay > 0 {
			err = p.pause(ctx, conn, delay)
		}
		if err == nil {
			err = conn.Publish(ctx, p.publication(p.payload))
		}
		if err == nil {
			err = conn.Flush(ctx)
		}
	}
	if err != nil {
		conn.Close(mqtt.DisconnectWithWill, p.flags.properties.sets.Disconnect)
		return reportEnd(ctx, p.err, err)
	}
	if err := conn.Close(mqtt.NormalDisconnection, p.flags.properties.sets.Disconnect); err != nil {
		return report(p.err, err)
	}
	return p.result()
}

// pause waits between two repetitions and notices the end of the connection.
func (p *publisher) pause(ctx context.Context, conn *client.Conn, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-conn.Done():
		return conn.Err()
	}
}

// publication fills in what the flags say. With a Topic Alias only the first
// one names the topic [MQTT-3.3.2-8].
func (p *publisher) publication(payload []byte) client.Publication {
	f := p.flags
	pub := client.Publication{
		Topic: f.topic(), Payload: payload, QoS: mqtt.QoS(f.qos), Retain: f.retain,
		Properties: f.properties.sets.Publish,
	}
	if pub.Properties.Has&packet.HasTopicAlias != 0 {
		if p.aliased {
			pub.Topic = ""
		}
		p.aliased = true
	}
	return pub
}

// published notes what the server answered.
func (p *publisher) published(o client.Outcome) {
	if !o.Reason.Failed() {
		return
	}
	fmt.Fprintf(p.err, "Warning: Publish %d failed: %s.\n", o.ID, o.Reason)
	if o.Text != "" {
		fmt.Fprintln(p.err, o.Text)
	}
	p.outcome.Lock()
	defer p.outcome.Unlock()
	if p.outcome.code == 0 {
		p.outcome.code = exitFailed
		if o.Reason == mqtt.NotAuthorized {
			p.outcome.code = exitRefused
		}
	}
}

func (p *publisher) result() int {
	p.outcome.Lock()
	defer p.outcome.Unlock()
	return p.outcome.code
}
