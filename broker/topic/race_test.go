package topic

import (
	"math/rand/v2"
	"testing"
)

func TestTreesRaceAList(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		data := make([]byte, 400)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		raceFilters(t, data)
		raceNames(t, data)
	}
}
