package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// crew is a part whose members come and go while it runs.
type crew struct {
	sync.Mutex
	members []*member
	ctx     context.Context // of run while it lasts; nil before and after
	running sync.WaitGroup
	failed  chan error // the first failure; one slot
}

type member struct {
	part
	stop func() // ends it and waits; nil before it was started
}

func newCrew() *crew { return &crew{failed: make(chan error, 1)} }

// run runs the members until ctx ends or one of them fails; it waits for all.
func (c *crew) run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	c.Lock()
	c.ctx = ctx
	for _, m := range c.members {
		c.start(m)
	}
	c.Unlock()
	select {
	case <-ctx.Done():
	case err = <-c.failed:
	}
	c.Lock()
	c.ctx = nil // nobody starts any more
	c.Unlock()
	cancel()
	c.running.Wait()
	return err
}

// start is called with the lock, while run lasts.
func (c *crew) start(m *member) {
	ctx, cancel := context.WithCancel(c.ctx)
	ended := make(chan struct{})
	m.stop = func() { cancel(); <-ended }
	c.running.Go(func() {
		defer close(ended)
		defer cancel()
		defer c.forget(m)
		if err := m.run(ctx); err != nil {
			select {
			case c.failed <- fmt.Errorf("%s: %w", m.name, err):
			default: // another one has ended all
			}
		}
	})
}

// forget takes out a member that has ended.
func (c *crew) forget(m *member) {
	c.Lock()
	defer c.Unlock()
	c.members = slices.DeleteFunc(slices.Clone(c.members), func(o *member) bool { return o == m })
}

// add starts p, at once if the crew runs.
func (c *crew) add(p part) {
	c.Lock()
	defer c.Unlock()
	m := &member{part: p}
	c.members = append(c.members, m)
	if c.ctx != nil {
		c.start(m)
	}
}

// remove stops the member of that name and waits for it.
func (c *crew) remove(name string) {
	c.Lock()
	var stop func()
	for i, m := range c.members {
		if m.name == name {
			stop = m.stop
			c.members = append(c.members[:i:i], c.members[i+1:]...)
			break
		}
	}
	c.Unlock()
	if stop != nil {
		stop()
	}
}
