package broker

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/memory"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disk"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Durability says what an acknowledgement promises.
type Durability = store.Class

// The classes of durability.
const (
	Interval Durability = store.Interval // survives the end of the process; of a power cut all but the last interval
	Always   Durability = store.Always   // survives a power cut
	Never    Durability = store.Never    // memory only
)

// DurabilityRule gives the messages of a Topic Filter a durability.
type DurabilityRule = store.ClassRule

// Data says where and how state is kept across the end of the process. Zero
// values take the defaults.
type Data struct {
	Dir           string           // made with mode 0700 if it is missing
	Durability    Durability       // of what no rule names; default Interval
	Rules         []DurabilityRule // the first match wins
	Interval      time.Duration    // default 1 s
	RetainedFlush time.Duration    // how long a retained value that changes all the time may wait; default 60 s
	MinFree       int64            // bytes of the file system that are left alone
	MaxSize       int64            // bytes of all files, about; 0 is no bound
	WriteBudget   int64            // bytes a day before what can wait is written less often; 0 is no bound
	StopOnFailure bool             // Broker.Run ends when the disk fails; else it goes on in memory
}

// open reads what the directory holds. local are the Client Identifiers of the
// gateway's own.
func (d *Data) open(log *slog.Logger, m *memory.Account, local func(id string) bool, clockSet func()) (*store.Durable, *disk.Dir, *store.State, error) {
	dir, err := disk.OpenDir(d.Dir)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := dir.Lock(); err != nil {
		return nil, nil, nil, fmt.Errorf("data directory %s: %w", d.Dir, err)
	}
	s, state, report, err := store.Open(dir, store.Options{
		Default: d.Durability, Classes: d.Rules, Interval: d.Interval, RetainedFlush: d.RetainedFlush, MinFree: d.MinFree, Log: log,
		MaxSpill: d.maxSpill(), Budget: d.WriteBudget, Stop: d.StopOnFailure, Spills: true,
		Held: func(messages, lines int) { holdQueued(m, messages, lines) }, Level: m.Level, ClockSet: clockSet,
		Lazy: func(m *mqtt.Message) bool { return local(m.Publisher) },
	})
	if err != nil {
		dir.Unlock()
		return nil, nil, nil, fmt.Errorf("data directory %s: %w", d.Dir, err)
	}
	if report.BadPages > 0 || report.Missing > 0 {
		lost := "what was on the bad pages is lost"
		if report.Whole {
			lost = "nothing is lost"
		}
		log.Error("store: damage was found; "+lost, "pages", report.BadPages, "records", report.Missing,
			"files", strings.Join(report.Damaged, " "))
	}
	if report.Torn > 0 {
		log.Warn("store: the last write was cut off; what was on its pages is lost", "pages", report.Torn)
	}
	log.Info("store opened", "dir", d.Dir, "records", report.Records, "sessions_and_queues", len(state.Lines), "retained", len(state.Retained))
	return s, dir, state, nil
}

// maxSpill is what of MaxSize queues may take: the rest is for the journal and
// its checkpoints.
func (d *Data) maxSpill() int64 {
	return max(d.MaxSize-16<<20, d.MaxSize/2)
}
