package history

import (
	"math"
	"slices"
	"strings"
	"sync"
)

const samples = 64 // in a block

// Ring is the history. The zero value keeps nothing: see Bound.
type Ring struct {
	lock   sync.Mutex
	limit  int      // bytes, of samples and names
	blocks []*block // oldest first
	bytes  int      // of all blocks
	added  int      // samples since the start
}

// block is up to 64 samples of the same series.
type block struct {
	first  int // number of its first sample
	count  int
	names  []string
	values []float32 // samples * len(names), one sample after the other
	bytes  int
}

// Series is one series of an answer; NaN is where it has no value.
type Series struct {
	Name   string
	Values []float32
}

// Bound sets how many bytes of samples and names are kept; anew forgets those
// that are there.
func (r *Ring) Bound(limit int, anew bool) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.limit = limit
	if anew {
		r.blocks, r.bytes = nil, 0
	}
	r.drop(0)
}

// drop lets the oldest blocks go until there is room for more bytes.
func (r *Ring) drop(more int) {
	for len(r.blocks) > 0 && r.bytes+more > r.limit {
		r.bytes -= r.blocks[0].bytes
		r.blocks = slices.Delete(r.blocks, 0, 1)
	}
}

// Add takes one sample: a value for each name, NaN for none. It keeps names;
// they must not change afterwards.
func (r *Ring) Add(names []string, values []float32) {
	r.lock.Lock()
	defer r.lock.Unlock()
	last := r.last()
	if last == nil || last.count == samples || !slices.Equal(last.names, names) {
		if last = r.begin(names); last == nil {
			r.added++
			return
		}
	}
	copy(last.values[last.count*len(names):], values)
	last.count++
	r.added++
}

func (r *Ring) last() *block {
	if len(r.blocks) == 0 {
		return nil
	}
	return r.blocks[len(r.blocks)-1]
}

// begin makes room for one more block; nil when even one is too large.
func (r *Ring) begin(names []string) *block {
	b := &block{first: r.added, names: names, bytes: 128 + 4*samples*len(names)}
	if last := r.last(); last != nil && slices.Equal(last.names, names) {
		b.names = last.names // shared, but each block counts them: it may be the last to hold them
	}
	for _, n := range names {
		b.bytes += 16 + len(n)
	}
	r.drop(b.bytes)
	if b.bytes > r.limit {
		return nil
	}
	b.values = make([]float32, samples*len(names))
	r.bytes += b.bytes
	r.blocks = append(r.blocks, b)
	return b
}

// Read returns the series whose names begin with one of the prefixes, over the
// newest count samples, thinned to at most points values: each is the mean of
// step samples. The last value ends with the newest sample.
func (r *Ring) Read(prefixes []string, count, points int) (all []Series, step int) {
	r.lock.Lock()
	defer r.lock.Unlock()
	count = min(count, r.kept())
	step = max(1, (count+points-1)/max(points, 1))
	values := count / step
	from := r.added - values*step
	at, sums := map[string]int{}, [][]mean{}
	for _, b := range r.blocks {
		for i, name := range b.names {
			if b.first+b.count <= from || !begins(name, prefixes) {
				continue
			}
			n, known := at[name]
			if !known {
				n = len(sums)
				at[name] = n
				all = append(all, Series{Name: name})
				sums = append(sums, make([]mean, values))
			}
			for k := max(0, from-b.first); k < b.count; k++ {
				sums[n][(b.first+k-from)/step].add(b.values[k*len(b.names)+i])
			}
		}
	}
	for i := range all {
		all[i].Values = make([]float32, values)
		for k, m := range sums[i] {
			all[i].Values[k] = m.value()
		}
	}
	return all, step
}

// kept is how many samples reach back to the oldest block.
func (r *Ring) kept() int {
	if len(r.blocks) == 0 {
		return 0
	}
	return r.added - r.blocks[0].first
}

func begins(name string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return p != "" && strings.HasPrefix(name, p) })
}

// mean is the mean of numbers that come one by one.
type mean struct {
	sum   float32
	count int32
}

func (m *mean) add(v float32) {
	if v == v {
		m.sum += v
		m.count++
	}
}

func (m *mean) value() float32 {
	if m.count == 0 {
		return float32(math.NaN())
	}
	return m.sum / float32(m.count)
}
