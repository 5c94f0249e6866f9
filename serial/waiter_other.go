//go:build !linux

package serial

import "context"

// Waiter would wait for what arrives at many ports; here each has a reader.
type Waiter struct{}

type wait struct{}

// NewWaiter returns a Waiter that waits for nothing.
func NewWaiter() *Waiter { return &Waiter{} }

// Run returns when ctx ends.
func (w *Waiter) Run(ctx context.Context) { <-ctx.Done() }

func (s *stream) await(*Waiter, func()) bool { return false }

func (s *stream) leave() {}
