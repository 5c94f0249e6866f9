package config

import "time"

// Store says what is kept on disk and when it is written.
type Store struct {
	Durability    string        `yaml:"durability" enum:"always|interval|never" doc:"when a message is on disk: before it is acknowledged, within interval, or not"`
	Interval      time.Duration `yaml:"interval" min:"10ms" max:"1h" doc:"what a power cut can cost with durability: interval" ex:"1s"`
	Classes       []StoreClass  `yaml:"classes" doc:"durability by topic; the first match wins"`
	RetainedFlush time.Duration `yaml:"retained_flush" doc:"longest time that a retained message waits in memory" ex:"60s"`
	Overflow      string        `yaml:"overflow" enum:"drop-oldest|drop-newest|reject|last-value|downsample" doc:"what gives way when the queue of a session is full, or of a bridge that says nothing of its own"`
	MaxSize       Size          `yaml:"max_size" min:"1MiB" doc:"disk space for what waits, less 16 MiB for journal and checkpoints, which are not refused space but by min_free" ex:"1GiB"`
	MinFree       Size          `yaml:"min_free" doc:"space that is left free on the file system" ex:"64MiB"`
	WriteBudget   ByteRate      `yaml:"write_budget" doc:"bytes written to the disk; when little is left, what can wait is written less often" ex:"1GiB/day"`
	OnFailure     string        `yaml:"on_failure" enum:"degrade|stop" doc:"what to do when the disk fails: go on in memory, or stop"`
}

// StoreClass is the durability of the topics that a filter matches.
type StoreClass struct {
	Filter     TopicFilter `yaml:"filter" req:"1" ex:"\"alarms/#\"" doc:"topics"`
	Durability string      `yaml:"durability" req:"1" enum:"always|interval|never" ex:"always" doc:"when a message is on disk"`
}

func (s *Store) setDefaults() {
	*s = Store{
		Durability: "interval", Interval: time.Second, RetainedFlush: time.Minute, Overflow: "drop-oldest",
		MaxSize: 1 << 30, MinFree: 64 << 20, WriteBudget: ByteRate{1 << 30, 24 * time.Hour}, OnFailure: "degrade",
	}
}

func (s *Store) check(l *loader) {
	seen := map[TopicFilter]int{}
	for i, c := range s.Classes {
		p := join(index("store.classes", i), "filter")
		if j, twice := seen[c.Filter]; twice && c.Filter != "" {
			l.failAt(p, l.first(join(index("store.classes", j), "filter")), "class %q is here twice: the first match wins", c.Filter)
			continue
		}
		seen[c.Filter] = i
	}
}
