package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// streams are the standard streams of a command; tests pass their own.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// Exit codes. Beyond these, sub and pub exit with the CONNACK code of a
// server that refused them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitConfig      = 3 // the unit file does not restart after this one
	exitUnreachable = 4
	exitRefused     = 5  // not authorized, as CONNACK 5
	exitLost        = 7  // pub: the connection was lost, as mosquitto_pub
	exitTimeout     = 27 // sub -W, as mosquitto_sub
	exitInterrupted = 130
)

// Why the context of main ended.
var (
	errInterrupted = errors.New("interrupted")
	errTerminated  = errors.New("terminated")
)

func main() {
	ctx, stop := untilSignal(context.Background())
	code := dispatch(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// untilSignal returns a context that SIGINT or SIGTERM ends, with
// errInterrupted or errTerminated as the cause. A second signal ends the
// process at once.
func untilSignal(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case s := <-signals:
			signal.Stop(signals)
			if s == os.Interrupt {
				cancel(errInterrupted)
			} else {
				cancel(errTerminated)
			}
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
		<-done
	}
}
