package disktest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disk"
)

// kind is what an operation did.
type kind uint8

const (
	write kind = iota + 1
	datasync
	create
	rename
	remove
	syncDir
)

// op is one operation in the order they were made.
type op struct {
	kind     kind
	inode    int // of the file
	offset   int64
	data     []byte
	name, to string
}

// Fake is a disk in memory. The zero value is not usable; see New.
type Fake struct {
	mu      sync.Mutex
	names   map[string]int // as the running process sees them
	files   map[int]*inode
	next    int
	log     []op
	free    int64
	forgets bool
	fail    func(op string, name string) error
	// What was durable when the log began.
	before map[string]int
	base   map[int][]byte
}

type inode struct{ data []byte }

// New makes an empty disk with room for free bytes.
func New(free int64) *Fake {
	return &Fake{names: map[string]int{}, files: map[int]*inode{}, free: free, before: map[string]int{}, base: map[int][]byte{}}
}

// Fail makes f decide about every operation: its error is the operation's. op
// is one of names, create, open, write, datasync, rename, remove, syncdir; a
// write that fails may have written half.
func (d *Fake) Fail(f func(op, name string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = f
}

// Forget makes the disk remember no operations: a long run needs no crashes.
func (d *Fake) Forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forgets = true
}

// note remembers an operation. The caller holds mu.
func (d *Fake) note(o op) {
	if !d.forgets {
		d.log = append(d.log, o)
	}
}

// SetFree changes how many bytes are left.
func (d *Fake) SetFree(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free = n
}

// Ops is the number of operations so far that can change what a power cut
// leaves.
func (d *Fake) Ops() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.log)
}

// Files returns the names and contents as they are now.
func (d *Fake) Files() map[string][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make(map[string][]byte)
	for name, i := range d.names {
		out[name] = slices.Clone(d.files[i].data)
	}
	return out
}

// Put replaces the content of a file, as damage does: it is durable at once.
func (d *Fake) Put(name string, data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i, ok := d.names[name]
	if !ok {
		d.next++
		i = d.next
		d.names[name] = i
	}
	d.files[i] = &inode{slices.Clone(data)}
	d.settle()
}

// settle forgets the log: what is there is durable. The caller holds mu.
func (d *Fake) settle() {
	d.log, d.before = nil, maps.Clone(d.names)
	d.base = map[int][]byte{}
	for _, i := range d.names {
		d.base[i] = slices.Clone(d.files[i].data)
	}
}

func (d *Fake) failing(op, name string) error {
	if d.fail == nil {
		return nil
	}
	return d.fail(op, name)
}

// Names implements disk.Disk.
func (d *Fake) Names() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.failing("names", ""); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(d.names)), nil
}

// Create implements disk.Disk.
func (d *Fake) Create(name string) (disk.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.failing("create", name); err != nil {
		return nil, err
	}
	if _, ok := d.names[name]; ok {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	d.next++
	d.names[name], d.files[d.next] = d.next, new(inode)
	d.note(op{kind: create, inode: d.next, name: name})
	return &file{d, d.next, name}, nil
}

// Open implements disk.Disk.
func (d *Fake) Open(name string) (disk.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.failing("open", name); err != nil {
		return nil, err
	}
	i, ok := d.names[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &file{d, i, name}, nil
}

// Rename implements disk.Disk.
func (d *Fake) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.failing("rename", from); err != nil {
		return err
	}
	i, ok := d.names[from]
	if !ok {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	delete(d.names, from)
	d.names[to] = i
	d.note(op{kind: rename, inode: i, name: from, to: to})
	return nil
}

// Remove implements disk.Disk.
func (d *Fake) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.failing("remove", name); err != nil {
		return err
	}
	i, ok := d.names[name]
	if !ok {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	d.free += int64(len(d.files[i].data))
	delete(d.names, name)
	d.note(op{kind: remove, inode: i, name: name})
	return nil
}

// SyncDir implements disk.Disk.
func (d *Fake) SyncDir() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.failing("syncdir", ""); err != nil {
		return err
	}
	d.note(op{kind: syncDir})
	return nil
}

// Free implements disk.Disk.
func (d *Fake) Free() (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.free, nil
}

// file is an open file of a Fake.
type file struct {
	disk  *Fake
	inode int
	name  string
}

// ErrNoSpace is what a write gets when the disk is full.
var ErrNoSpace = errors.New("no space left on device")

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.failing("read", f.name); err != nil {
		return 0, err
	}
	data := f.disk.files[f.inode].data
	if off >= int64(len(data)) {
		return 0, io.EOF
	}
	n := copy(p, data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.failing("write", f.name)
	data := d.files[f.inode].data
	if grows := off + int64(len(p)) - int64(len(data)); err == nil && grows > d.free {
		err = ErrNoSpace
	}
	if err != nil {
		p = p[:len(p)/2/512*512] // what a failed write leaves is anybody's guess
		if off+int64(len(p)) > int64(len(data)) {
			p = nil
		}
	}
	f.put(p, off)
	d.note(op{kind: write, inode: f.inode, offset: off, data: slices.Clone(p)})
	return len(p), err
}

func (f *file) put(p []byte, off int64) {
	in := f.disk.files[f.inode]
	if end := off + int64(len(p)); end > int64(len(in.data)) {
		f.disk.free -= end - int64(len(in.data))
		in.data = append(in.data, make([]byte, end-int64(len(in.data)))...)
	}
	copy(in.data[off:], p)
}

func (f *file) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return int64(len(f.disk.files[f.inode].data)), nil
}

func (f *file) Datasync() error {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.failing("datasync", f.name); err != nil {
		// The pages count as clean from now on: a later sync does not write
		// them, and a power cut loses them.
		d.note(op{kind: datasync, inode: -f.inode})
		return fmt.Errorf("datasync %s: %w", f.name, err)
	}
	d.note(op{kind: datasync, inode: f.inode})
	return nil
}

func (f *file) Close() error { return nil }
