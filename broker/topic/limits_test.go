package topic

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unsafe"
)

func TestMatchingFiltersDoesNotAllocate(t *testing.T) {
	var f Filters[int]
	for i := range 100 {
		f.Set(fmt.Sprintf("site/%d/+/temperature", i), i)
		f.Set(fmt.Sprintf("site/%d/#", i), i)
	}
	f.Set("#", 0)
	f.Set("+/+/room/+", 0)
	sum := 0
	if n := testing.AllocsPerRun(100, func() {
		f.Match("site/42/room/temperature", func(_ string, v int) { sum += v })
	}); n != 0 || sum == 0 {
		t.Errorf("%v allocations, sum %d", n, sum)
	}
}

func TestDeepestTopics(t *testing.T) {
	name := strings.Repeat("/", MaxLength)
	plus := strings.Repeat("+/", MaxLength/2) + "+"
	half := strings.Repeat("a/", MaxLength/2) + "a"
	var f Filters[int]
	for i, s := range []string{name, plus, half, plus[:len(plus)-1] + "#"} {
		f.Set(s, i)
	}
	if got := len(matchFilters(&f, half)); got != 3 {
		t.Errorf("%d filters match, want 3", got)
	}
	var n Names[int]
	n.Set(name, 1)
	n.Set(half, 2)
	n.Set(half+"b", 3)
	if got := len(matchNames(&n, plus)); got != 2 {
		t.Errorf("%d names match, want 2", got)
	}
	if got := len(matchNames(&n, "#")); got != 3 {
		t.Errorf("%d names match #, want 3", got)
	}
	for _, s := range []string{name, half, half + "b"} {
		n.Delete(s)
	}
	if n.Len() != 0 || n.root.first != nil {
		t.Error("nodes are left")
	}
}

// A filter of only wildcards must not make a walk exponential.
func TestWorstFiltersStayLinear(t *testing.T) {
	var f Filters[int]
	for i := range 1 << 12 {
		var levels []string
		for bit := range 12 {
			levels = append(levels, []string{"a", "+"}[i>>bit&1])
		}
		f.Set(strings.Join(levels, "/"), i)
	}
	calls := 0
	f.Match(strings.Repeat("a/", 11)+"a", func(string, int) { calls++ })
	if calls != 1<<12 {
		t.Errorf("%d matches, want %d", calls, 1<<12)
	}
}

func TestNamesMatchStops(t *testing.T) {
	var n Names[int]
	for i := range 20 {
		n.Set(fmt.Sprintf("a/%d", i), i)
		n.Set(fmt.Sprintf("a/%d/b", i), i)
	}
	for _, filter := range []string{"#", "a/#", "a/+", "+/+/b", "+/#"} {
		calls := 0
		n.Match(filter, func(string, int) bool { calls++; return calls < 3 })
		if calls != 3 {
			t.Errorf("%s: %d calls, want 3", filter, calls)
		}
	}
}

// A deleted topic's string must not live on in the nodes it shared.
func TestDeleteLetsGoOfTheString(t *testing.T) {
	var n Names[int]
	long := strings.Clone("site/room/" + strings.Repeat("x", 1000))
	n.Set(long, 1)
	n.Set("site/room/short", 2)
	for i := range 2 * wide {
		n.Set(fmt.Sprintf("site/%d", i), i)
	}
	n.Delete(long)
	low := uintptr(unsafe.Pointer(unsafe.StringData(long)))
	inside := func(s string) bool {
		p := uintptr(unsafe.Pointer(unsafe.StringData(s)))
		return low <= p && p < low+uintptr(len(long))
	}
	for c := n.root.first; c != nil; c = c.after(&n.root) {
		if inside(c.path) {
			t.Errorf("%q still slices the deleted topic", c.path)
		}
		for key := range c.index {
			if inside(key) {
				t.Errorf("index key %q still slices the deleted topic", key)
			}
		}
	}
	runtime.KeepAlive(long)
}

func fleet(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("dunlin/site-%d/device-%d/%s", i/1000, i/4,
			[]string{"temperature", "humidity", "pressure", "state"}[i%4])
	}
	return names
}

// 100,000 retained topics must fit a small gateway: the tree itself, without
// the names, stays below 200 bytes a topic.
func TestNamesAreEconomical(t *testing.T) {
	names := fleet(100_000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var n Names[*int]
	for _, s := range names {
		n.Set(s, nil)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := float64(after.HeapAlloc-before.HeapAlloc) / float64(len(names))
	t.Logf("%.0f bytes a topic", each)
	if each > 200 {
		t.Errorf("%.0f bytes a topic", each)
	}
	runtime.KeepAlive(&n)
	runtime.KeepAlive(names)
}

func BenchmarkFiltersMatch(b *testing.B) {
	var f Filters[int]
	for i, s := range fleet(10_000) {
		f.Set(s, i)
	}
	f.Set("dunlin/+/+/temperature", 1)
	f.Set("dunlin/#", 2)
	b.ReportAllocs()
	for b.Loop() {
		f.Match("dunlin/site-3/device-876/temperature", func(string, int) {})
	}
}

func BenchmarkNamesSet(b *testing.B) {
	names := fleet(100_000)
	b.ReportAllocs()
	for b.Loop() {
		var n Names[int]
		for i, s := range names {
			n.Set(s, i)
		}
	}
}

func BenchmarkNamesMatch(b *testing.B) {
	var n Names[int]
	for i, s := range fleet(100_000) {
		n.Set(s, i)
	}
	b.ReportAllocs()
	for b.Loop() {
		n.Match("dunlin/site-3/+/temperature", func(string, int) bool { return true })
	}
}
