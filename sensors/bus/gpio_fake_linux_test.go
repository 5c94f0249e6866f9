package bus

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// gpioFake is a kernel with one GPIO chip. Its device is a file below root, and
// the lines that it hands out are pipes.
type gpioFake struct {
	root  string
	label string
	lines []gpioLineInfo
	fail  map[uintptr]error // by request

	mu       sync.Mutex
	requests []gpioLineRequest
	configs  []gpioLineConfig   // of lines that were changed after their request
	fresh    uint64             // the level of a line that is requested as it is
	asked    uint64             // flags of every line after a request: what its controller says
	level    map[uintptr]uint64 // of lines, by their descriptor
	wire     *os.File           // where events of the newest line are written
}

func newGPIOFake(t *testing.T, label string, names ...string) *gpioFake {
	k := &gpioFake{root: t.TempDir(), label: label, fail: map[uintptr]error{}, level: map[uintptr]uint64{}}
	if err := os.Mkdir(filepath.Join(k.root, "dev"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(k.root, "dev", "gpiochip0"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		l := gpioLineInfo{offset: uint32(i)}
		copy(l.name[:], name)
		k.lines = append(k.lines, l)
	}
	return k
}

func (k *gpioFake) ioctl(fd, request uintptr, arg unsafe.Pointer) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.fail[request]; err != nil {
		return err
	}
	switch request {
	case unix.GPIO_GET_CHIPINFO_IOCTL:
		info := (*gpioChipInfo)(arg)
		copy(info.name[:], "gpiochip0")
		copy(info.label[:], k.label)
		info.lines = uint32(len(k.lines))
	case unix.GPIO_V2_GET_LINEINFO_IOCTL:
		info := (*gpioLineInfo)(arg)
		*info = k.lines[info.offset]
	case unix.GPIO_V2_GET_LINE_IOCTL:
		r := (*gpioLineRequest)(arg)
		var ends [2]int
		if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
			return err
		}
		r.fd = int32(ends[0])
		if k.wire != nil {
			k.wire.Close()
		}
		k.wire = os.NewFile(uintptr(ends[1]), "wire")
		k.requests = append(k.requests, *r)
		k.level[uintptr(ends[0])] = *(*uint64)(unsafe.Pointer(&r.config.attributes[0].value))
		if r.config.flags&(gpioInput|gpioOutput) == 0 {
			k.level[uintptr(ends[0])] = k.fresh
			k.lines[r.offsets[0]].flags = k.asked
		}
	case gpioSetConfig:
		k.configs = append(k.configs, *(*gpioLineConfig)(arg))
	case unix.GPIO_V2_LINE_GET_VALUES_IOCTL:
		(*gpioLineValues)(arg).bits = k.level[fd] & (*gpioLineValues)(arg).mask
	case unix.GPIO_V2_LINE_SET_VALUES_IOCTL:
		k.level[fd] = (*gpioLineValues)(arg).bits
	default:
		return unix.ENOTTY
	}
	return nil
}

// edges are what the kernel tells of the newest line, in one go.
func (k *gpioFake) edges(t *testing.T, events ...gpioLineEvent) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(&events[0])), len(events)*int(unsafe.Sizeof(events[0])))
	if _, err := k.wire.Write(bytes); err != nil {
		t.Error(err)
	}
}
