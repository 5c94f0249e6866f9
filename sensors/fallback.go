package sensors

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// fallbackPublisher publishes for devices whose own session has ended, through the
// manager's.
type fallbackPublisher struct {
	session atomic.Pointer[Session]
}

func (s *fallbackPublisher) set(session Session) {
	if session == nil {
		s.session.Store(nil)
		return
	}
	s.session.Store(&session)
}

// Publish implements Publisher.
func (s *fallbackPublisher) Publish(ctx context.Context, m mqtt.Message) error {
	p := s.session.Load()
	if p == nil {
		return errors.New("the manager does not run")
	}
	return (*p).Publish(ctx, m)
}
