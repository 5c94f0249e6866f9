package api

import "testing"

// Watching again and again makes no new names, which the broker would remember.
func TestPlacesOfWatchersComeBack(t *testing.T) {
	var w watchers
	for range 3 {
		for want := range mostWatchers {
			if place, err := w.enter(); err != nil || place != want {
				t.Fatalf("place %d, %v, want %d", place, err, want)
			}
		}
		if _, err := w.enter(); err == nil {
			t.Fatal("there is always another place")
		}
		for place := range mostWatchers {
			w.leave(place)
		}
	}
}
