package broker

import (
	"github.com/dunlin-mqtt/dunlin/broker/internal/conn"
	"github.com/dunlin-mqtt/dunlin/broker/internal/memory"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// MemoryStats is what clients make the broker hold, in bytes.
type MemoryStats struct {
	Budget     int64 // 0: none
	Used, Peak int64
	Level      int // 0: enough, 4: nearly out
	// Disconnected are slow consumers that were ended because memory was short.
	Disconnected uint64
	By           []MemoryCause
}

// MemoryCause is what is held for one cause, and how often more was refused.
type MemoryCause struct {
	Name    string
	Bytes   int64
	Refused uint64
}

func memoryStats(a *memory.Account) (s MemoryStats) {
	s.Budget, s.Used, s.Peak, s.Level = a.Budget(), a.Total(), a.Peak(), a.Level()
	for c := range memory.Causes {
		s.By = append(s.By, MemoryCause{c.String(), a.Held(c), a.Refused(c)})
	}
	return s
}

const sysMemory = "$SYS/dunlin/memory/"

// publishMemory tells what is held and what was refused.
func (t *sysTree) publishMemory(s *MemoryStats) {
	const base = sysMemory
	t.count(base+"budget", uint64(s.Budget))
	t.count(base+"used", uint64(max(s.Used, 0)))
	t.count(base+"peak", uint64(s.Peak))
	t.number(base+"level", s.Level)
	t.count(base+"disconnected", s.Disconnected)
	for i := range s.By {
		c := &s.By[i]
		t.count(base+"used/"+c.Name, uint64(max(c.Bytes, 0)))
		t.count(base+"refused/"+c.Name, c.Refused)
	}
}

// willSize is what a will takes of memory, in bytes; nil takes nothing.
func willSize(w *mqtt.Will) int {
	if w == nil {
		return 0
	}
	return w.Message.Footprint()
}

// setWill replaces the will of cl. The caller holds the registry.
func (h *hub) setWill(cl *client, w *mqtt.Will) {
	h.memory.Add(memory.Wills, willSize(w)-willSize(cl.will))
	cl.will = w
}

// afford takes what a session and its will need. Clients of the network may be
// refused; one whose session ends with its connection only by the level, for the
// connections have their share: sessions that others left behind do not keep it
// out.
func (h *hub) afford(a *attachment, fresh bool) bool {
	m, size, will := h.memory, 0, willSize(a.will)
	if fresh {
		size = conn.PeerSize(a.id)
	}
	switch {
	case a.door == nil:
	case fresh && m.Level() >= 2:
		return false
	case a.params.Expiry > 0 && !m.May(memory.Sessions, size), !m.May(memory.Wills, will):
		return false
	}
	m.Add(memory.Sessions, size)
	m.Add(memory.Wills, will)
	return true
}
