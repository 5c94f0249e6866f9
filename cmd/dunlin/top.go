package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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

// Escape sequences of terminals (ECMA-48): erase what is left of the screen,
// or all of it, and whether long lines go on below.
const (
	eraseRest = "\x1b[J"
	clearAll  = "\x1b[2J"
	oneLine   = "\x1b[?7l"
	manyLines = "\x1b[?7h"
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
		err := t.look(ctx)
		if err != nil && t.drawn && ctx.Err() == nil {
			t.topics.stop()
			t.topics, t.before = nil, nil
			err = t.draw([]byte(err.Error() + "\n")) // the gateway may come back
		}
		if err != nil || n == *times {
			return t.end(ctx, err)
		}
		select {
		case <-ctx.Done():
			return t.end(ctx, nil)
		case key := <-keys:
			if key == 'q' {
				return t.end(ctx, nil)
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

// end leaves the line of the keys and tells why the looking ends: Ctrl-C is no
// error here.
func (t *top) end(ctx context.Context, err error) int {
	if t.drawn || errors.Is(context.Cause(ctx), errInterrupted) {
		fmt.Fprintln(t.q.s.out)
	}
	if ctx.Err() == nil && err != nil {
		return t.q.fail(err)
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
// each other. Each line goes to a row of its own: those that the terminal does
// not have are its last one, where the keys are written over them.
func (t *top) draw(text []byte) error {
	if !isTerminal(t.q.s.out) {
		_, err := t.q.s.out.Write(append(text, '\n'))
		return err
	}
	page := oneLine
	if !t.drawn {
		page += clearAll
	}
	t.drawn = true
	row := 0
	for line := range strings.Lines(string(text) + keyLine) {
		row++
		page += fmt.Sprintf("\x1b[%dH%s\x1b[K", row, strings.TrimSuffix(line, "\n"))
	}
	_, err := io.WriteString(t.q.s.out, page+eraseRest+manyLines)
	return err
}
