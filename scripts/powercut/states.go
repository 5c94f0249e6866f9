package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/dunlin-mqtt/dunlin/scripts/powercut/oracle"
)

// state is a disk as a power cut may have left it.
type state struct {
	number  int
	cut     int // behind so many requests
	how     string
	pending int // writes that were not durable
	image   []byte
	last    oracle.Stamp // what had been acknowledged for certain
	old     oracle.Stamp // what had been, so long ago that the interval is over
}

func (s *state) String() string {
	return fmt.Sprintf("state %d (cut behind request %d, %d writes pending, %s)", s.number, s.cut, s.pending, s.how)
}

// cuts chooses where the power goes: half of the points anywhere after the
// first stamp, half where much is pending, for there is most to lose.
func cuts(all []write, n int, r *rand.Rand) []int {
	var anywhere, busy []int
	pending, stamped := 0, false
	for i := range all {
		w := &all[i]
		switch {
		case w.flush:
			pending = 0
		case w.stamps:
			stamped = stamped || w.stamp.Acked != [len(oracle.Publishers)]uint64{}
		default:
			pending++
		}
		if stamped {
			if anywhere = append(anywhere, i); pending > 1 {
				busy = append(busy, i)
			}
		}
	}
	if len(anywhere) == 0 {
		return nil
	}
	points := make([]int, n)
	for i := range points {
		from := anywhere
		if i%2 == 1 && len(busy) > 0 {
			from = busy
		}
		points[i] = from[r.IntN(len(from))]
	}
	slices.Sort(points)
	return points
}

// eachState builds the disks of n power cuts and gives them to f, in the order
// of the record. image is the disk before it began.
func eachState(all []write, image []byte, n int, seed uint64, f func(*state) error) error {
	points := cuts(all, n, rand.New(rand.NewPCG(seed, 0)))
	if points == nil {
		return fmt.Errorf("nothing was acknowledged in %d requests", len(all))
	}
	var pending []*write
	var stamps []oracle.Stamp
	for i, number := 0, 0; i < len(all) && number < len(points); i++ {
		w := &all[i]
		switch {
		case w.stamps:
			stamps = append(stamps, w.stamp)
		case w.fua:
			copy(image[w.at:], w.data)
		case len(w.data) > 0:
			pending = append(pending, w)
		}
		if w.flush {
			for _, p := range pending {
				copy(image[p.at:], p.data)
			}
			pending = pending[:0]
		}
		for ; number < len(points) && points[number] == i; number++ {
			s := &state{number: number, cut: i, pending: len(pending), image: slices.Clone(image), last: stamps[len(stamps)-1]}
			s.old = before(stamps, s.last.After-mayLack)
			s.cutPower(pending, rand.New(rand.NewPCG(seed, uint64(number)+1)))
			if err := f(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// before is the last stamp that is not younger than a time.
func before(stamps []oracle.Stamp, t time.Duration) (last oracle.Stamp) {
	for _, s := range slices.Backward(stamps) {
		if s.After <= t {
			return s
		}
	}
	return last
}

// cutPower decides what of the pending writes has reached the disk.
func (s *state) cutPower(pending []*write, r *rand.Rand) {
	switch s.number % 3 {
	case 0:
		s.how = "none of them there"
	case 1:
		n := r.IntN(len(pending) + 1)
		for _, p := range pending[:n] {
			copy(s.image[p.at:], p.data)
		}
		s.how = fmt.Sprintf("the first %d there", n)
	case 2:
		torn := 0
		for _, p := range pending {
			for at := 0; at < len(p.data); at += sectorSize {
				if r.IntN(2) == 0 {
					copy(s.image[p.at+int64(at):], p.data[at:at+sectorSize])
					torn++
				}
			}
		}
		s.how = fmt.Sprintf("%d of their sectors there", torn)
	}
}

// write puts the disk into a file with holes where nothing is.
func (s *state) write(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(oracle.DiskSize); err != nil {
		return err
	}
	const chunk = 16 << 10
	empty := make([]byte, chunk)
	for at := 0; at < len(s.image); at += chunk {
		if part := s.image[at : at+chunk]; string(part) != string(empty) {
			if _, err := f.WriteAt(part, int64(at)); err != nil {
				return err
			}
		}
	}
	return nil
}
