package session

import "github.com/dunlin-mqtt/dunlin/broker/mqtt"

// fewSubscriptions is how many are looked through one by one. Most clients
// have one, and a map would cost each of them half a kilobyte.
const fewSubscriptions = 8

// subscriptions are those of one session by Topic Filter.
type subscriptions struct {
	list  []mqtt.Subscription
	place map[string]int // in list; nil while there are few
}

func (s *subscriptions) len() int { return len(s.list) }

// find is where the one with this Topic Filter lies, -1 without one.
func (s *subscriptions) find(filter string) int {
	if s.place != nil {
		if i, ok := s.place[filter]; ok {
			return i
		}
		return -1
	}
	for i := range s.list {
		if s.list[i].Filter == filter {
			return i
		}
	}
	return -1
}

// set adds or replaces.
func (s *subscriptions) set(sub mqtt.Subscription) {
	i := s.find(sub.Filter)
	if i >= 0 {
		s.list[i] = sub
		return
	}
	s.list = append(s.list, sub)
	switch n := len(s.list); {
	case s.place != nil:
		s.place[sub.Filter] = n - 1
	case n > fewSubscriptions:
		s.place = make(map[string]int, 2*n)
		for i := range s.list {
			s.place[s.list[i].Filter] = i
		}
	}
}

// remove reports whether there was one; the last takes its place.
func (s *subscriptions) remove(filter string) bool {
	i := s.find(filter)
	if i < 0 {
		return false
	}
	last := len(s.list) - 1
	s.list[i] = s.list[last]
	s.list[last] = mqtt.Subscription{}
	s.list = s.list[:last]
	if s.place != nil {
		if i < last {
			s.place[s.list[i].Filter] = i
		}
		delete(s.place, filter)
	}
	if last == 0 {
		*s = subscriptions{}
	}
	return true
}
