package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/client"
)

// errTimedOut is the cause of a context that -W ended.
var errTimedOut = errors.New("timed out")

// report words an error of sub or pub as mosquitto's clients do and returns
// the exit code for it.
func report(w io.Writer, err error) int {
	var refused *client.RefusedError
	var unreachable *client.UnreachableError
	var disconnected *client.DisconnectedError
	w = onTerminal(w)
	switch {
	case err == nil || errors.Is(err, errTerminated):
		return exitDone
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.Is(err, errTimedOut):
		fmt.Fprintln(w, "Timed out")
		return exitTimeout
	case errors.As(err, &refused):
		fmt.Fprintf(w, "Connection error: %v%s\n", refused, refusalHint(refused))
		return refused.Code()
	case errors.As(err, &unreachable):
		fmt.Fprintf(w, "Error: %v\n", unreachable)
		return exitUnreachable
	case errors.Is(err, client.ErrLost), errors.As(err, &disconnected):
		fmt.Fprintf(w, "Error: %v\n", err)
		return exitLost
	}
	fmt.Fprintf(w, "Error: %v\n", err)
	return exitFailed
}

func refusalHint(e *client.RefusedError) string {
	if e.Version == mqtt.V5 && e.Reason == mqtt.UnsupportedProtocolVersion {
		return ". Try connecting to an MQTT v5 broker, or use MQTT v3.x mode."
	}
	return ""
}

// reportEnd reports err, or, when the context ended, why it did: a dial that
// was interrupted fails with an error of its own.
func reportEnd(ctx context.Context, w io.Writer, err error) int {
	if ctx.Err() != nil {
		return report(w, context.Cause(ctx))
	}
	return report(w, err)
}

// serialWriter lets one goroutine write at a time: packets are traced by
// several. The lock is a one-slot channel because it is held across I/O.
type serialWriter struct {
	slot chan struct{}
	w    io.Writer
}

func newSerialWriter(w io.Writer) *serialWriter {
	return &serialWriter{make(chan struct{}, 1), w}
}

func (s *serialWriter) Write(p []byte) (int, error) {
	s.slot <- struct{}{}
	defer func() { <-s.slot }()
	return s.w.Write(p)
}

// tracer is Options.Trace: one line a packet, written to w for out.
func tracer(w, out io.Writer) func(string) {
	terminal := isTerminal(out)
	return func(line string) {
		if terminal {
			line = printable(line)
		}
		fmt.Fprintln(w, line)
	}
}
