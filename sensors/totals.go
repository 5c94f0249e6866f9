package sensors

// Totals are numbers that outlive the program: what a meter has counted, what
// an integral has summed up. *totals.Store satisfies it. Its methods do not
// wait for the disk and are safe for concurrent use.
type Totals interface {
	// Load returns the number that was saved last under this key.
	Load(key string) (v float64, ok bool)
	// Save keeps a number; how soon it is on disk is up to the implementation.
	Save(key string, v float64)
}

// Keeper is a Driver or a Filter that has totals. Keep is called once, before
// the first Open or Apply; the keys of t are the keeper's own: those of a
// driver are names of its entities, a filter has one key.
type Keeper interface {
	Keep(t Totals)
}

// keyed are the totals below a name; all is nil when nobody keeps any.
type keyed struct {
	all    Totals
	prefix string
}

func (k keyed) Load(key string) (float64, bool) {
	if k.all == nil {
		return 0, false
	}
	return k.all.Load(k.prefix + key)
}

func (k keyed) Save(key string, v float64) {
	if k.all != nil {
		k.all.Save(k.prefix+key, v)
	}
}

// keep hands the totals to whatever has some.
func keep(keeper any, all Totals, name string) {
	if k, ok := keeper.(Keeper); ok {
		k.Keep(keyed{all, name + "/"})
	}
}
