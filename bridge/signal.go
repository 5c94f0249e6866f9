package bridge

// signal tells all who wait of a change. It costs nothing while nobody waits.
// The owner's lock guards it.
type signal struct{ c chan struct{} }

// wait returns what is closed at the next change.
func (s *signal) wait() <-chan struct{} {
	if s.c == nil {
		s.c = make(chan struct{})
	}
	return s.c
}

func (s *signal) tell() {
	if s.c != nil {
		close(s.c)
		s.c = nil
	}
}

// knock fills a channel of one slot.
func knock(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
