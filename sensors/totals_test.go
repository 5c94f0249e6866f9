package sensors

import (
	"log/slog"
	"testing"
)

// keepingFilter is a filter with a total.
type keepingFilter struct {
	skipInitial
	Totals
}

func (f *keepingFilter) Keep(t Totals) { f.Totals = t }

type someTotals map[string]float64

func (s someTotals) Load(key string) (float64, bool) { v, ok := s[key]; return v, ok }
func (s someTotals) Save(key string, v float64)      { s[key] = v }

func TestTotalsOfFiltersHaveTheirOwnKeys(t *testing.T) {
	all := someTotals{"meter/power/energy": 7}
	for _, tc := range []struct {
		totals Totals
		want   float64
	}{{all, 7}, {nil, 0}} {
		f := &keepingFilter{}
		o := newOwner(Device{Name: "meter"}, &Options{Base: "b", Totals: tc.totals, Log: slog.New(slog.DiscardHandler)}, nil, newValueTable(), nil)
		if _, err := o.addEntity("power", &Entity{Filters: []Filter{f}}); err != nil {
			t.Fatal(err)
		}
		if v, ok := f.Load("energy"); v != tc.want || ok != (tc.totals != nil) {
			t.Errorf("loads %v, %v, want %v", v, ok, tc.want)
		}
		f.Save("energy", 8)
	}
	if all["meter/power/energy"] != 8 {
		t.Errorf("kept %v", all)
	}
}
