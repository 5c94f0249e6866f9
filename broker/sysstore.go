package broker

import "time"

// publishStore tells what the store has kept, and what it has not yet.
func (t *sysTree) publishStore() {
	if t.b.durable == nil {
		t.set("$SYS/dunlin/store/mode", "memory")
		return
	}
	const base = "$SYS/dunlin/store/"
	s := t.b.durable.Stats()
	t.set(base+"mode", s.Mode.String())
	t.number(base+"unsynced/messages", s.Unsynced)
	t.count(base+"unsynced/age_ms", uint64(s.UnsyncedAge/time.Millisecond))
	t.number(base+"sync_us/last", int(s.LastSync/time.Microsecond))
	t.number(base+"sync_us/longest", int(s.LongestSync/time.Microsecond))
	t.count(base+"syncs", s.Syncs)
	t.count(base+"failures", s.Failures)
	t.number(base+"bad_pages", s.BadPages+int(s.BadSpill))
	t.number(base+"segments", s.Segments)
	t.count(base+"written_bytes/journal", s.Journal)
	t.count(base+"written_bytes/checkpoint", s.Checkpoint)
	t.count(base+"written_bytes/segments", s.NewSegments)
	t.count(base+"written_bytes/spill", s.Spilled)
	t.number(base+"budget_left_percent", s.BudgetLeft)
	t.count(base+"spill_bytes", uint64(s.SpillSize))
}
