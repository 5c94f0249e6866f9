package conn

// deadlines orders the connections of a loop by when something must happen to
// them: a binary heap, so that an idle loop needs one timer at most.
type deadlines struct{ heap []*Conn }

// next is the earliest deadline, 0 if there is none.
func (d *deadlines) next() int64 {
	if len(d.heap) == 0 {
		return 0
	}
	return d.heap[0].sock.due
}

// set moves c to the deadline due; 0 removes it.
func (d *deadlines) set(c *Conn, due int64) {
	s := &c.sock
	old := s.due
	s.due = due
	switch i := int(s.place) - 1; {
	case due == 0 && i >= 0:
		last := len(d.heap) - 1
		d.swap(i, last)
		d.heap[last] = nil
		d.heap = d.heap[:last]
		s.place = 0
		if i < last {
			d.down(i)
			d.up(i)
		}
	case due == 0:
	case i < 0:
		d.heap = append(d.heap, c)
		s.place = int32(len(d.heap))
		d.up(len(d.heap) - 1)
	case due < old:
		d.up(i)
	default:
		d.down(i)
	}
}

func (d *deadlines) swap(i, j int) {
	d.heap[i], d.heap[j] = d.heap[j], d.heap[i]
	d.heap[i].sock.place, d.heap[j].sock.place = int32(i+1), int32(j+1)
}

func (d *deadlines) less(i, j int) bool { return d.heap[i].sock.due < d.heap[j].sock.due }

func (d *deadlines) up(i int) {
	for i > 0 && d.less(i, (i-1)/2) {
		d.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (d *deadlines) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(d.heap) {
			return
		}
		if child+1 < len(d.heap) && d.less(child+1, child) {
			child++
		}
		if !d.less(child, i) {
			return
		}
		d.swap(i, child)
		i = child
	}
}
