package load

import "fmt"

func fixed(topic string) func(uint64) string { return func(uint64) string { return topic } }

// FanIn lets all publishers, each on its own topic, reach one subscriber with a
// wildcard.
func FanIn(cfg Config) (Result, error) {
	cfg = cfg.withDefaults()
	f := &flow{cfg: cfg}
	s := &subscriber{filters: []string{"bench/in/+"}, track: map[uint32]*tracker{}}
	per := cfg.Count / cfg.Publishers
	for i := range cfg.Publishers {
		f.publishers = append(f.publishers, &publisher{id: uint32(i), topic: fixed(fmt.Sprintf("bench/in/%d", i)), count: per, fan: 1, window: cfg.share()})
		s.track[uint32(i)] = newTracker(per)
	}
	f.subscribers = []*subscriber{s}
	return f.run()
}

// FanOut lets one publisher reach all subscribers of one topic.
func FanOut(cfg Config) (Result, error) {
	cfg = cfg.withDefaults()
	f := &flow{cfg: cfg}
	n := cfg.Count / cfg.Subscribers
	const atLeast = 4 // messages under way, however many subscribers
	window := int64(max(atLeast, cfg.Window/cfg.Subscribers))
	f.publishers = []*publisher{{topic: fixed("bench/out"), count: n, fan: cfg.Subscribers, window: window}}
	for range cfg.Subscribers {
		f.subscribers = append(f.subscribers, &subscriber{filters: []string{"bench/out"}, track: map[uint32]*tracker{0: newTracker(n)}})
	}
	return f.run()
}

// Pairs lets each publisher reach its own subscriber on an exact topic.
func Pairs(cfg Config) (Result, error) {
	cfg = cfg.withDefaults()
	f := &flow{cfg: cfg}
	per := cfg.Count / cfg.Publishers
	for i := range cfg.Publishers {
		topic := fmt.Sprintf("bench/pair/%d/data", i)
		f.publishers = append(f.publishers, &publisher{id: uint32(i), topic: fixed(topic), count: per, fan: 1, window: cfg.share()})
		f.subscribers = append(f.subscribers, &subscriber{filters: []string{topic}, track: map[uint32]*tracker{uint32(i): newTracker(per)}})
	}
	return f.run()
}

// Wildcard spreads filters with + and # over connections; every message
// matches exactly one filter:
//
//	odd connections hold  w/+/n<j>/m/+     matched by w/c<any>/n<j>/m/z
//	even connections hold w/c<c>/+/n<j>/#  matched by w/c<c>/x<any>/n<j>/a/b
func Wildcard(cfg Config) (Result, error) {
	cfg = cfg.withDefaults()
	f := &flow{cfg: cfg}
	per := cfg.Filters / cfg.Subscribers
	for c := range cfg.Subscribers {
		s := &subscriber{track: map[uint32]*tracker{0: newTracker(cfg.Count)}}
		for j := range per {
			if c%2 == 0 {
				s.filters = append(s.filters, fmt.Sprintf("w/c%d/+/n%d/#", c, j))
			} else {
				s.filters = append(s.filters, fmt.Sprintf("w/+/n%d/m/+", c*per+j))
			}
		}
		f.subscribers = append(f.subscribers, s)
	}
	topics := wildcardTopics(cfg.Subscribers, per)
	next := func(sequence uint64) string { return topics[sequence%uint64(len(topics))] }
	f.publishers = []*publisher{{topic: next, count: cfg.Count, fan: 1, window: int64(cfg.Window)}}
	return f.run()
}

func wildcardTopics(connections, per int) []string {
	const stride = 7919 // a prime: neighbors in time are no neighbors in the tree
	topics := make([]string, connections*per)
	for i := range topics {
		c, j := i%connections, (i/connections*stride)%per
		if c%2 == 0 {
			topics[i] = fmt.Sprintf("w/c%d/x%d/n%d/a/b", c, i%13, j)
		} else {
			topics[i] = fmt.Sprintf("w/c%d/n%d/m/z", i%17, c*per+j)
		}
	}
	return topics
}
