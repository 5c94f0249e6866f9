package history

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestRingIsAsAListOfSamples races the ring against a list of maps.
func TestRingIsAsAListOfSamples(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 21))
	r := Ring{limit: 40_000}
	var model []map[string]float32
	names := []string{"in", "device/a", "device/b"}
	for n := range 3000 {
		if random.IntN(200) == 0 {
			names = []string{"in"}
			for i := range random.IntN(6) {
				names = append(names, fmt.Sprintf("device/%c", 'a'+i))
			}
		}
		sample, values := map[string]float32{}, make([]float32, len(names))
		for i, name := range names {
			if values[i] = float32(random.IntN(100)); values[i] > 90 {
				values[i] = float32(math.NaN())
			}
			sample[name] = values[i]
		}
		r.Add(names, values)
		model = append(model, sample)
		if n%97 == 0 {
			compare(t, &r, model, 1+random.IntN(500), 1+random.IntN(100))
		}
	}
	if r.bytes > r.limit || len(r.blocks) == 0 {
		t.Errorf("%d bytes in %d blocks, of %d", r.bytes, len(r.blocks), r.limit)
	}
}

func compare(t *testing.T, r *Ring, model []map[string]float32, count, points int) {
	t.Helper()
	got, step := r.Read([]string{"device/"}, count, points)
	for _, s := range got {
		if len(s.Values) > points {
			t.Fatalf("%d values, wanted at most %d", len(s.Values), points)
		}
		for k, v := range s.Values {
			end := len(model) - (len(s.Values)-1-k)*step
			sum, n := float32(0), 0
			for _, sample := range model[end-step : end] {
				if x, ok := sample[s.Name]; ok && x == x {
					sum += x
					n++
				}
			}
			if n == 0 && v == v || n > 0 && v != sum/float32(n) {
				t.Fatalf("%s: value %d of %d (step %d) is %v, the model has %v", s.Name, k, len(s.Values), step, v, sum/float32(n))
			}
		}
	}
}

func TestRingKeepsItsLimit(t *testing.T) {
	var names []string
	for i := range 300 {
		names = append(names, fmt.Sprintf("device/%d", i))
	}
	r := Ring{limit: 200_000}
	for range 1000 {
		r.Add(names, make([]float32, len(names)))
	}
	held := 0
	for _, b := range r.blocks {
		held += 4*cap(b.values) + 128
	}
	if held == 0 || held > r.limit {
		t.Errorf("%d bytes are held, the limit is %d", held, r.limit)
	}
	if got, _ := r.Read([]string{"device/7"}, 1000, 1000); len(got) != 11 || len(got[0].Values) < samples {
		t.Errorf("%d series; 11 begin so", len(got))
	}
	small := Ring{limit: 100}
	small.Add(names, make([]float32, len(names)))
	if got, _ := small.Read([]string{"device/"}, 10, 10); len(got) != 0 {
		t.Error("a history that has no room kept something")
	}
}
