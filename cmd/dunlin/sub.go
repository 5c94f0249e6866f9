package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/client"
)

// reconnectDelay is how long sub and pub -l wait after a lost connection, as
// libmosquitto does.
const reconnectDelay = time.Second

// maxReceive is how many messages a server may send ahead; -C lowers it so
// that none is taken that will not be shown.
const maxReceive = 20

func runSub(ctx context.Context, args []string, s streams) int {
	sub, code, done := parseSub(args, s)
	if done {
		return code
	}
	if n := sub.flags.count; n > 0 && n < maxReceive && sub.options.Properties.Has&packet.HasReceiveMaximum == 0 {
		sub.options.Properties.Has |= packet.HasReceiveMaximum
		sub.options.Properties.ReceiveMaximum = uint16(n)
	}
	if n := sub.flags.timeout; n > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, time.Duration(min(n, math.MaxInt32))*time.Second, errTimedOut)
		defer cancel()
	}
	if sub.flags.since > 0 {
		over, err := sub.past(ctx)
		if err != nil {
			return newAsker("sub", "", s).fail(err)
		}
		if over {
			return exitDone
		}
	}
	if !sub.flags.rate {
		return sub.run(ctx)
	}
	r := &rates{out: sub.out}
	sub.print = r.count
	counting, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.run(counting)
	}()
	defer func() { stop(); <-ended }()
	return sub.run(ctx)
}

// subscriber is one run of sub.
type subscriber struct {
	flags   *subFlags
	options client.Options
	session client.Session
	print   printer
	out     io.Writer
	err     io.Writer
	shown   int
	buf     []byte
}

// run connects, again and again when the connection is lost; the first
// connection must succeed.
func (s *subscriber) run(ctx context.Context) int {
	for first := true; ; first = false {
		conn, err := client.Connect(ctx, s.options, &s.session)
		var refused *client.RefusedError
		if err != nil && (first || ctx.Err() != nil || errors.As(err, &refused)) {
			return reportEnd(ctx, s.err, err)
		}
		if err == nil {
			code, again := s.serve(ctx, conn)
			if !again {
				return code
			}
		}
		if !wait(ctx, reconnectDelay) {
			return reportEnd(ctx, s.err, nil)
		}
	}
}

// wait sleeps; false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// serve shows what one connection brings. again says that it was lost and
// should be made anew.
func (s *subscriber) serve(ctx context.Context, conn *client.Conn) (code int, again bool) {
	err := s.subscribe(conn)
	for err == nil {
		var e client.Event
		if e, err = conn.Next(ctx); err != nil {
			break
		}
		var over bool
		if e.Message != nil {
			over, err = s.message(ctx, conn, e.Message)
		} else {
			code, over = s.answer(e)
		}
		if over {
			conn.Close(mqtt.NormalDisconnection, s.flags.properties.sets.Disconnect)
			return code, false
		}
	}
	if ctx.Err() != nil {
		conn.Close(mqtt.DisconnectWithWill, s.flags.properties.sets.Disconnect)
		return reportEnd(ctx, s.err, nil), false
	}
	conn.Abort()
	if retryable(err) {
		fmt.Fprintf(s.err, "Warning: %v; connecting again\n", err)
		return 0, true
	}
	return report(s.err, err), false
}

// retryable reports whether a new connection may help: not when another
// client has taken the session over, or both would take turns forever.
func retryable(err error) bool {
	var disconnected *client.DisconnectedError
	if errors.As(err, &disconnected) {
		return disconnected.Reason != mqtt.SessionTakenOver
	}
	return errors.Is(err, client.ErrLost)
}

func (s *subscriber) subscribe(conn *client.Conn) error {
	if _, err := conn.Subscribe(s.flags.subscriptions(), s.flags.properties.sets.Subscribe); err != nil {
		return err
	}
	for _, filter := range s.flags.unsubscribe {
		if _, err := conn.Unsubscribe(filter, s.flags.properties.sets.Unsubscribe); err != nil {
			return err
		}
	}
	return nil
}

// answer takes SUBACK and UNSUBACK; over ends the command with code.
func (s *subscriber) answer(e client.Event) (code int, over bool) {
	if e.Unsub {
		return 0, false
	}
	granted := false
	text := ""
	for i, r := range e.Reasons {
		granted = granted || !r.Failed()
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprint(byte(r))
	}
	if s.flags.debug && !s.flags.quiet {
		fmt.Fprintf(s.out, "Subscribed (mid: %d): %s\n", e.ID, text)
	}
	if !granted {
		fmt.Fprintln(s.err, "All subscription requests were denied.")
		return exitRefused, true
	}
	return exitDone, s.flags.exitOnSub
}

// message shows one message; over is true after the last one.
func (s *subscriber) message(ctx context.Context, conn *client.Conn, m *client.Message) (over bool, err error) {
	f := s.flags
	if f.retainedOnly && !m.Retain {
		return true, nil
	}
	if m.Retain && f.noRetained {
		return false, nil
	}
	for _, filter := range f.filterOut {
		if topic.Match(filter, m.Topic) {
			return false, nil
		}
	}
	if f.removeRetained && m.Retain {
		// QoS 0: waiting for acknowledgements here would wait for the reader,
		// which may be waiting for this consumer.
		if err := conn.Publish(ctx, client.Publication{Topic: m.Topic, Retain: true}); err != nil {
			return false, err
		}
	}
	return s.show(m, time.Now())
}

// show shows what came at a time; over is true after the last one.
func (s *subscriber) show(m *client.Message, at time.Time) (over bool, err error) {
	if f := s.flags; f.random >= 100 || rand.Float64()*100 < f.random {
		s.buf = s.print(s.buf[:0], m, at)
		if len(s.buf) > 0 {
			if _, err := s.out.Write(s.buf); err != nil {
				return false, err
			}
		}
	}
	s.shown++
	return s.flags.count > 0 && s.shown >= s.flags.count, nil
}
