package update

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/slots"
	"github.com/dunlin-mqtt/dunlin/build/image/slots/slotstest"
)

const oldSize, newSize = 7 * slots.Sector, slots.Chunk + 3*slots.Sector

// gateway is a dunlin that is as the test says.
type gateway struct {
	sync.Mutex
	health Health
	err    error
	told   map[string]string
}

func (g *gateway) Publish(_ context.Context, topic, value string) error {
	g.Lock()
	defer g.Unlock()
	if g.err == nil {
		g.told[topic] = value
	}
	return g.err
}

func (g *gateway) forget() {
	g.Lock()
	defer g.Unlock()
	clear(g.told)
}

// says waits until the gateway was told that updates are so.
func (g *gateway) says(t *testing.T, state, slot, version string) {
	t.Helper()
	want := map[string]string{Topics + "state": state, Topics + "slot": slot, Topics + "version": version}
	for range 6000 { // a minute
		g.Lock()
		same := maps.Equal(g.told, want)
		g.Unlock()
		if same {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("the gateway was told %v, want %v", g.told, want)
}

func (g *gateway) Health(context.Context) (Health, error) {
	g.Lock()
	defer g.Unlock()
	return g.health, g.err
}

func (g *gateway) set(h Health, err error) {
	g.Lock()
	defer g.Unlock()
	g.health, g.err = h, err
}

var errDown = errors.New("it is down")

// bench is an updater with what it works on.
type bench struct {
	*Updater
	disk     *slotstest.Disk
	gateway  *gateway
	key      SecretKey
	restarts chan string
	said     sync.Mutex
	log      string
}

// newBench is a gateway of version 1.0.0 in slot 2 of a card.
func newBench(t *testing.T) *bench {
	t.Helper()
	key, err := NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{disk: slotstest.New(t, slotstest.Contents(1, oldSize)), gateway: &gateway{told: map[string]string{}}, key: key, restarts: make(chan string, 4)}
	b.gateway.health = Health{MQTT: true, Devices: 2}
	dir := t.TempDir()
	b.Updater = New(&Updater{
		Card: slotstest.Open(t, b.disk), Slot: 2, Volatile: func() bool { return false }, Keys: []PublicKey{key.Public()},
		Record: filepath.Join(dir, "update"), Socket: filepath.Join(dir, "sock"), Gateway: b.gateway,
		Restart: func(argument string) { b.restarts <- argument }, Steady: 1,
		Logf: func(format string, args ...any) {
			b.said.Lock()
			defer b.said.Unlock()
			b.log += fmt.Sprintf(format, args...) + "\n"
		},
	})
	return b
}

// update is a file of version 1.1.0.
func (b *bench) update(t *testing.T) []byte {
	t.Helper()
	return b.sign(slotstest.Describe(t, contents(), "1.1.0", 2), packed())
}

func (b *bench) sign(m *slots.Manifest, packed []byte) []byte {
	return slices.Concat([]byte(b.key.Sign(m.Text(), "")), m.Text(), packed)
}

// contents are the update's, packed the same as the file has them: packing
// takes time.
var (
	contents = sync.OnceValue(func() []byte { return slotstest.Contents(2, newSize) })
	packed   = sync.OnceValue(func() []byte { return pack(contents()) })
)

// pack is Pack in the shortest time.
func pack(contents []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.NoCompression)
	z.Write(contents) // a Buffer takes everything
	z.Close()
	return b.Bytes()
}

// record is what became of the last update.
func (b *bench) record(t *testing.T) Record {
	t.Helper()
	r, err := load(b.Record)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
