package store

// adopt takes over what recovery found. What is beyond the last checkpoint is
// in the journal, too, and was applied from there.
func (s *Durable) adopt() {
	s.mu.freed = true // there may be files that nothing names
	s.reserve()
	for name, l := range s.mu.state.Lines {
		if s.charge(l, false); l.weight() > s.most() {
			l.toSpill = true
			s.mu.toSpill = append(s.mu.toSpill, name)
		}
	}
	s.j.Nudge() // what waits does not wait for the first message
}

// reserve keeps the numbers of files that the checkpoint names.
func (s *Durable) reserve() {
	for _, l := range s.mu.state.Lines {
		if l.disk != nil {
			for _, r := range l.disk.runs {
				s.spill.Reserve(r.Extent.File)
			}
		}
	}
}

// replay applies a record of the journal at a start. A line that outgrows memory
// goes to disk there and then: it was there before, in files that no checkpoint
// names, and the journal may hold far more than memory does. A failure leaves
// it in memory.
func (s *Durable) replay(r *Record) {
	if r.Kind == ClockSet { // what was spilled until here has times of before
		for _, l := range s.mu.state.Lines {
			if l.disk != nil {
				l.disk.log.End()
			}
		}
		r.step.files = max(r.step.files, s.spill.Last())
	}
	s.mu.state.Apply(r)
	if !s.opts.Spills || r.Kind != MessageQueued && r.Kind != MessageFrom {
		return
	}
	for i := range r.Destinations {
		name := r.Destinations[i].Name
		if s.mu.state.Lines[name].weight() <= s.most() || s.tight.Load() {
			continue
		}
		s.reserve()
		s.tight.Store(s.spillLine(name) != nil)
	}
}
