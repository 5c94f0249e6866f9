package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
)

const topHelp = `Usage: dunlin top [--every TIME] [--times N]

Shows 'dunlin status' again and again, with the rates since the time before.
Ctrl-C ends it.

Examples:
  dunlin top
  dunlin top --every 5s
`

// Escape sequences of terminals (ECMA-48): to the upper left, and erase what
// is left of the screen.
const (
	home      = "\x1b[H"
	eraseRest = "\x1b[J"
	clearAll  = "\x1b[2J"
)

func runTop(ctx context.Context, args []string, s streams) int {
	q := newAsker("top", topHelp, s)
	every := q.flags.Duration("every", time.Second, "`time` between two looks")
	times := q.flags.Int("times", 0, "end after so many looks; 0: never")
	if code, done := q.parse(args); done {
		return code
	}
	if q.flags.NArg() > 0 || *every < 100*time.Millisecond {
		return q.usage("takes no arguments, and at least 100ms for --every")
	}
	tick := time.NewTicker(*every)
	defer tick.Stop()
	var before *api.Status
	for n := 1; ; n++ {
		st := new(api.Status)
		if _, err := q.get(ctx, "GET", "/api/v1/status", st); err != nil {
			return q.endTop(ctx, err)
		}
		if err := drawTop(s, st, before); err != nil {
			return q.fail(err)
		}
		if before = st; n == *times {
			return exitDone
		}
		select {
		case <-ctx.Done():
			return q.endTop(ctx, nil)
		case <-tick.C:
		}
	}
}

// endTop tells why the looking ends: Ctrl-C is no error here.
func (q *asker) endTop(ctx context.Context, err error) int {
	if ctx.Err() == nil {
		return q.fail(err)
	}
	if errors.Is(context.Cause(ctx), errInterrupted) {
		fmt.Fprintln(q.s.out)
	}
	return exitDone
}

// drawTop draws over the look before; on what is no terminal the looks follow
// each other.
func drawTop(s streams, st, before *api.Status) error {
	if before != nil && st.Uptime > before.Uptime {
		span := st.Uptime - before.Uptime
		st.Broker.ReceivedRate = float64(st.Broker.Received-before.Broker.Received) / span
		st.Broker.SentRate = float64(st.Broker.Sent-before.Broker.Sent) / span
	}
	var page bytes.Buffer
	if err := writeStatus(&page, st); err != nil {
		return err
	}
	text := page.Bytes()
	if isTerminal(s.out) {
		start := home
		if before == nil {
			start = clearAll + home
		}
		text = append([]byte(start), bytes.ReplaceAll(text, []byte("\n"), []byte("\x1b[K\n"))...)
		text = append(text, eraseRest...)
	} else {
		text = append(text, '\n')
	}
	_, err := s.out.Write(text)
	return err
}
