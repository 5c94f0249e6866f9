package main

import (
	"context"
	"fmt"
	"slices"
)

// part is one long-lived piece of the program. run blocks until ctx ends, and
// returns early only when the piece failed for good.
type part struct {
	name string
	run  func(ctx context.Context) error
}

// runParts starts the parts in order and, when ctx ends or one of them fails,
// stops them in reverse: each is told to end and waited for before the one it
// depends on. The first failure is returned.
func runParts(ctx context.Context, parts []part) error {
	failed := make(chan error, len(parts))
	var stops []func()
	for _, p := range parts {
		pctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := p.run(pctx); err != nil {
				failed <- fmt.Errorf("%s: %w", p.name, err)
			}
		}()
		stops = append(stops, func() { cancel(); <-done })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	for _, stop := range slices.Backward(stops) {
		stop()
	}
	return err
}
