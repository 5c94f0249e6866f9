package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
)

const topHelp = `Usage: dunlin top [--view all|clients|topics|sensors|bridges] [--every TIME] [--times N]

Shows 'dunlin status' again and again, with the rates since the time before.
On a terminal a key chooses what is shown: c the clients and t the topics with
the most messages, s sensors, b bridges, a all; q or Ctrl-C ends it.

Examples:
  dunlin top
  dunlin top --every 5s
  dunlin top --view clients --times 2 --every 10s > busy.txt
`

// Escape sequences of terminals (ECMA-48): to the upper left, and erase what
// is left of the screen.
const (
	home      = "\x1b[H"
	eraseRest = "\x1b[J"
	clearAll  = "\x1b[2J"
)

// views are the words of --view; their first letters are the keys.
const views = " all clients topics sensors bridges "

const keyLine = "\na all   c clients   t topics   s sensors   b bridges   q quit\n"

// top is one run of the command.
type top struct {
	q      *asker
	view   byte
	drawn  bool // something is on the terminal
	before *api.Status
	at     time.Time            // of the look before
	counts map[string][2]uint64 // of each client then: received, sent
	topics *topicRates          // while they are looked at
}

func runTop(ctx context.Context, args []string, s streams) int {
	q := newAsker("top", topHelp, s)
	every := q.flags.Duration("every", time.Second, "`time` between two looks")
	times := q.flags.Int("times", 0, "end after so many looks; 0: never")
	view := q.flags.String("view", "all", "`what` to show: all, clients, topics, sensors or bridges")
	if code, done := q.parse(args); done {
		return code
	}
	if q.flags.NArg() > 0 || *every < 100*time.Millisecond || *view == "" || !strings.Contains(views, " "+*view+" ") {
		return q.usage("takes no arguments, at least 100ms for --every, and all, clients, topics, sensors or bridges for --view")
	}
	t := &top{q: q, view: (*view)[0]}
	defer func() { t.topics.stop() }()
	keys, stop := typed(ctx, s)
	defer stop()
	tick := time.NewTicker(*every)
	defer tick.Stop()
	for n := 1; ; n++ {
		if err := t.look(ctx); err != nil || n == *times {
			return q.endTop(ctx, err)
		}
		select {
		case <-ctx.Done():
			return q.endTop(ctx, nil)
		case key := <-keys:
			if key == 'q' {
				return exitDone
			}
			if strings.Contains(views, " "+string(key)) {
				t.view = key
			}
		case <-tick.C:
		}
	}
}

// typed are the keys of somebody who sits at a terminal. The caller calls stop.
func typed(ctx context.Context, s streams) (keys <-chan byte, stop func()) {
	f, ok := s.in.(*os.File)
	if !ok || !isTerminal(s.out) {
		return nil, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	out, done := make(chan byte), make(chan struct{})
	go func() {
		defer close(done)
		readKeys(ctx, f, out)
	}()
	return out, func() { cancel(); <-done }
}

// endTop tells why the looking ends: Ctrl-C is no error here.
func (q *asker) endTop(ctx context.Context, err error) int {
	if ctx.Err() == nil && err != nil {
		return q.fail(err)
	}
	if errors.Is(context.Cause(ctx), errInterrupted) {
		fmt.Fprintln(q.s.out)
	}
	return exitDone
}

// look asks and draws.
func (t *top) look(ctx context.Context) error {
	st := new(api.Status)
	if _, err := t.q.get(ctx, "GET", "/api/v1/status", st); err != nil {
		return err
	}
	if b := t.before; b != nil && st.Uptime > b.Uptime {
		span := st.Uptime - b.Uptime
		st.Broker.ReceivedRate = float64(st.Broker.Received-b.Broker.Received) / span
		st.Broker.SentRate = float64(st.Broker.Sent-b.Broker.Sent) / span
	}
	t.before = st
	var page bytes.Buffer
	if err := t.write(ctx, &page, st); err != nil {
		return err
	}
	return t.draw(page.Bytes())
}

// draw draws over the look before; on what is no terminal the looks follow
// each other.
func (t *top) draw(text []byte) error {
	if isTerminal(t.q.s.out) {
		start := home
		if !t.drawn {
			start = clearAll + home
		}
		t.drawn = true
		text = append(text, keyLine...)
		text = append([]byte(start), bytes.ReplaceAll(text, []byte("\n"), []byte("\x1b[K\n"))...)
		text = append(text, eraseRest...)
	} else {
		text = append(text, '\n')
	}
	_, err := t.q.s.out.Write(text)
	return err
}
