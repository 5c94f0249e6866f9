package sensors

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// Part is one component of an announced device.
type Part struct {
	Name     string
	Platform string // "" when nothing announces it
	Listed   bool   // the configuration named it
}

// entry is what was published of one device and stays until somebody removes
// it.
type entry struct {
	device string
	topic  string // above the device's own topics
	config string // the topic of its announcement, "" for none
	model  string
	form   Payload // of its values; "" is plain
	parts  []Part
}

// registry remembers on disk which retained messages each device has, so that a
// device that is gone leaves none, however long ago it was. A line a device:
//
//	device TAB topic TAB config TAB model [ "~" selection ] [ SPACE form ] { TAB platform [ "!" | ":" ] name }
//
// with "!" before names that the configuration lists. Safe for concurrent use.
type registry struct {
	file string // "": only in memory
	log  *slog.Logger

	known struct {
		sync.Mutex
		entries map[string]entry
		changes uint64
	}
	// writing is a lock of one slot, because the file is written under it. One
	// write is for all changes that waited for it; written is how many there are
	// in the file.
	writing chan struct{}
	written uint64
	failed  atomic.Int64 // when the last write failed, in seconds; 0: it did not
}

// retryWrite is how long after a write that failed the next one is made, though
// there is nothing new: the disk was full, or read-only.
const retryWrite = time.Minute

const registryHead = "dunlin-devices 1"

// openRegistry reads the file. What of it cannot be read is dropped: the worst
// that follows is a message of a device that nobody removes.
func openRegistry(file string, log *slog.Logger) *registry {
	r := &registry{file: file, log: log, writing: make(chan struct{}, 1)}
	r.known.entries = map[string]entry{}
	if file == "" {
		return r
	}
	text, err := os.ReadFile(file)
	if err == nil {
		err = r.parse(string(text))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("list of published devices not read", "err", err)
	}
	return r
}

func (r *registry) parse(text string) error {
	head, rest, _ := strings.Cut(text, "\n")
	if head != registryHead {
		return fmt.Errorf("%s: starts with %.20q", r.file, head)
	}
	var bad []error
	for line := range strings.Lines(rest) {
		if e, ok := parseEntry(line); ok {
			r.known.entries[e.device] = e
		} else {
			bad = append(bad, fmt.Errorf("%s: %.40q is no device", r.file, line))
		}
	}
	return errors.Join(bad...)
}

func parseEntry(line string) (e entry, ok bool) {
	line, whole := strings.CutSuffix(line, "\n")
	f := strings.Split(line, "\t")
	if !whole || len(f) < 4 || f[0] == "" || topic.ValidName(f[1]) != nil || f[2] != "" && topic.ValidName(f[2]) != nil {
		return e, false
	}
	model, form, _ := strings.Cut(f[3], " ")
	e = entry{device: f[0], topic: f[1], config: f[2], model: model, form: Payload(form)}
	for _, p := range f[4:] {
		i := strings.IndexAny(p, "!:")
		if i < 0 {
			return e, false
		}
		e.parts = append(e.parts, Part{Name: p[i+1:], Platform: p[:i], Listed: p[i] == '!'})
	}
	return e, true
}

// get returns what is known of a device.
func (r *registry) get(device string) entry {
	r.known.Lock()
	defer r.known.Unlock()
	return r.known.entries[device]
}

// devices returns the names that are known, sorted.
func (r *registry) devices() []string {
	r.known.Lock()
	defer r.known.Unlock()
	return slices.Sorted(maps.Keys(r.known.entries))
}

// put records what a device is about to publish, before it does. An entry
// without a topic removes the device.
func (r *registry) put(device string, e entry) {
	k := &r.known
	k.Lock()
	old := k.entries[device]
	if old.line() == e.line() {
		k.Unlock()
		return
	}
	k.entries[device] = e
	if e.topic == "" {
		delete(k.entries, device)
	}
	k.changes++
	mine := k.changes
	k.Unlock()
	r.save(mine)
}

// mend writes the file once more if that failed some time ago.
func (r *registry) mend(now time.Time) {
	then := r.failed.Load()
	if then != 0 && now.Unix()-then >= int64(retryWrite/time.Second) && r.failed.CompareAndSwap(then, now.Unix()) {
		r.save(math.MaxUint64)
	}
}

// save writes the file unless it has as many changes as wanted.
func (r *registry) save(wanted uint64) {
	if r.file == "" {
		return
	}
	r.writing <- struct{}{}
	defer func() { <-r.writing }()
	if r.written >= wanted {
		return // somebody else's write had it
	}
	text, changes := r.text()
	if err := r.write(text); err != nil {
		r.failed.Store(time.Now().Unix())
		r.log.Warn("list of published devices not written", "err", err)
		return
	}
	r.failed.Store(0)
	r.written = changes
}

// text is the whole file, with all changes so far.
func (r *registry) text() (text []byte, changes uint64) {
	r.known.Lock()
	defer r.known.Unlock()
	text = append(text, registryHead+"\n"...)
	for _, device := range slices.Sorted(maps.Keys(r.known.entries)) {
		e := r.known.entries[device]
		text = append(text, e.line()...)
	}
	return text, r.known.changes
}

func (e *entry) line() string {
	model := e.model
	if e.form != "" && e.form != Plain {
		model += " " + string(e.form)
	}
	fields := []string{e.device, e.topic, e.config, model}
	for _, p := range e.parts {
		mark := ":"
		if p.Listed {
			mark = "!"
		}
		fields = append(fields, p.Platform+mark+p.Name)
	}
	return strings.Join(fields, "\t") + "\n"
}

// write replaces the file; after a power cut there is the old one or the new.
func (r *registry) write(text []byte) error {
	next := r.file + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if serr := f.Sync(); err == nil {
		err = serr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Rename(next, r.file); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(r.file))
	if err != nil {
		return err
	}
	defer dir.Close() // nothing was written through it
	return dir.Sync()
}
