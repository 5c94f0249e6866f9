package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// group is a part whose members come and go while it runs.
type group struct {
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

func newGroup() *group { return &group{failed: make(chan error, 1)} }

// run runs the members until ctx ends or one of them fails; it waits for all.
func (g *group) run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	g.Lock()
	g.ctx = ctx
	for _, m := range g.members {
		g.start(m)
	}
	g.Unlock()
	select {
	case <-ctx.Done():
	case err = <-g.failed:
	}
	g.Lock()
	g.ctx = nil // nobody starts any more
	g.Unlock()
	cancel()
	g.running.Wait()
	return err
}

// start is called with the lock, while run lasts.
func (g *group) start(m *member) {
	ctx, cancel := context.WithCancel(g.ctx)
	ended := make(chan struct{})
	m.stop = func() { cancel(); <-ended }
	g.running.Go(func() {
		defer close(ended)
		defer cancel()
		defer g.forget(m)
		if err := m.run(ctx); err != nil {
			select {
			case g.failed <- fmt.Errorf("%s: %w", m.name, err):
			default: // another one has ended all
			}
		}
	})
}

// forget takes out a member that has ended.
func (g *group) forget(m *member) {
	g.Lock()
	defer g.Unlock()
	g.members = slices.DeleteFunc(slices.Clone(g.members), func(o *member) bool { return o == m })
}

// add starts p, at once if the group runs.
func (g *group) add(p part) {
	g.Lock()
	defer g.Unlock()
	m := &member{part: p}
	g.members = append(g.members, m)
	if g.ctx != nil {
		g.start(m)
	}
}

// remove stops the member of that name and waits for it.
func (g *group) remove(name string) {
	g.Lock()
	var stop func()
	for i, m := range g.members {
		if m.name == name {
			stop = m.stop
			g.members = append(g.members[:i:i], g.members[i+1:]...)
			break
		}
	}
	g.Unlock()
	if stop != nil {
		stop()
	}
}
