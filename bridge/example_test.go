package bridge_test

import (
	"fmt"

	"github.com/dunlin-mqtt/dunlin/bridge"
)

// What a Queue for these routes must be fed with.
func ExampleOutFilters() {
	for _, s := range bridge.OutFilters([]bridge.Route{
		{From: "alarms/#"},
		{From: "energy/+", To: "sites/barn-1/energy/+"},
		{From: "alarms/fire"}, // the first route covers it
	}, bridge.Live) {
		fmt.Println(s.Filter)
	}
	// Output:
	// alarms/#
	// energy/+
}

// A bridge says what is wrong with its routes before it opens anything.
func ExampleNew() {
	_, err := bridge.New(bridge.Options{
		Name: "cloud", Servers: []string{"mqtts://broker.example.com"}, ClientID: "barn-1",
		Out: []bridge.Route{{From: "energy/+", To: "sites/barn-1"}}, Queues: [bridge.LaneCount]bridge.Queue{noQueue{}},
	})
	fmt.Println(err)
	// Output:
	// out[0]: to "sites/barn-1" has the wildcards "", from "energy/+" has "+": each must be carried over, in order
}

type noQueue struct{ bridge.Queue }
