package update

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dunlin-mqtt/dunlin/build/image/slots"
	"github.com/dunlin-mqtt/dunlin/build/image/slots/slotstest"
)

// run runs the updater until the test ends.
func (b *bench) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// ready is run, until it takes updates: none is taken while there may be a trial.
func (b *bench) ready(t *testing.T) {
	t.Helper()
	b.run(t)
	b.ask(t, "status", nil) // it has begun
	b.busy <- struct{}{}
	<-b.busy
}

// ask says a line and a file, and returns the last line of the answer.
func (b *bench) ask(t *testing.T, line string, file []byte) string {
	t.Helper()
	var c net.Conn
	var err error
	for range 200 { // the socket is there soon
		if c, err = net.Dial("unix", b.Socket); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	go func() {
		io.Copy(c, io.MultiReader(strings.NewReader(line+"\n"), bytes.NewReader(file)))
		c.(*net.UnixConn).CloseWrite()
	}()
	answer, _ := io.ReadAll(c) // a refusal may reset what was not read
	lines := strings.Split(strings.TrimSpace(string(answer)), "\n")
	return lines[len(lines)-1]
}

func TestMakeIsRead(t *testing.T) {
	b := newBench(t)
	m, small := slotstest.Describe(t, slotstest.Contents(4, oldSize), "1.1.0", 2), slotstest.Contents(4, oldSize)
	var file bytes.Buffer
	if err := Make(&file, m, bytes.NewReader(small), b.key); err != nil {
		t.Fatal(err)
	}
	f, err := Read(&file, b.Keys)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f.Contents); err != nil || !bytes.Equal(got, small) || f.Version != "1.1.0" {
		t.Errorf("%d bytes of %s, %v", len(got), f.Version, err)
	}
}

// FuzzRead has a file from anybody: without a trusted key's signature nothing
// of it is believed.
func FuzzRead(f *testing.F) {
	key, err := NewSecretKey()
	if err != nil {
		f.Fatal(err)
	}
	small := slotstest.Contents(4, oldSize)
	var good bytes.Buffer
	if err := Make(&good, slotstest.Describe(f, small, "1.1.0", 2), bytes.NewReader(small), key); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	head := good.Bytes()[:bytes.Index(good.Bytes(), []byte("end\n"))+4]
	f.Add(head)
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := Read(bytes.NewReader(b), []PublicKey{key.Public()})
		if err != nil {
			return
		}
		if file.Version != "1.1.0" || file.Size != oldSize {
			t.Errorf("a forged manifest: %+v", file.Manifest)
		}
		file.Verify(file.Contents)
	})
}

func TestUpdate(t *testing.T) {
	b := newBench(t)
	b.ready(t)
	if got := b.ask(t, "status", nil); got != "ok version 1.0.0 in slot 2; last update: there was no update yet" {
		t.Errorf("status: %q", got)
	}
	b.gateway.says(t, "none", "2", "1.0.0")
	before := Health{MQTT: true, Devices: 2, Doors: []string{"page :8083"}}
	b.gateway.set(before, nil)
	got := b.ask(t, "update", b.update(t))
	if !strings.HasPrefix(got, "ok 1.1.0 is written to slot 3") {
		t.Fatalf("answer: %q", got)
	}
	if argument := <-b.restarts; argument != TryBoot {
		t.Errorf("restart with %q", argument)
	}
	if state, m, err := b.Card.Slot(3); state != slots.Whole || m.Version != "1.1.0" {
		t.Errorf("slot 3 is %v: %v", state, err)
	}
	if rec := b.record(t); rec.Phase != Written || !reflect.DeepEqual(rec.Before, before) || rec.Slot != 3 || rec.Version != "1.1.0" || rec.From != "1.0.0" {
		t.Errorf("the record is %+v", rec)
	}
	b.gateway.says(t, "written", "2", "1.0.0")
	if got := b.ask(t, "update", nil); !strings.Contains(got, "refused another update is being written") {
		t.Errorf("an update before the restart: %q", got)
	}
}

func TestRefusals(t *testing.T) {
	describe := func(change func(*slots.Manifest)) func(*testing.T, *bench) []byte {
		return func(t *testing.T, b *bench) []byte {
			m := slotstest.Describe(t, contents(), "1.1.0", 2)
			change(m)
			return b.sign(m, packed())
		}
	}
	older := describe(func(m *slots.Manifest) { m.Date = m.Date.AddDate(-1, 0, 0) })
	for name, tc := range map[string]struct {
		line string
		file func(*testing.T, *bench) []byte
		want string
		kept bool // slot 3 is as it was
	}{
		"nothing":                     {"update", func(*testing.T, *bench) []byte { return nil }, "ends within its signature", true},
		"a foreign file":              {"update", func(*testing.T, *bench) []byte { return make([]byte, 100<<10) }, "not an update file of dunlin", true},
		"a foreign board":             {"update", describe(func(m *slots.Manifest) { m.Board = "pizero" }), `for the board "pizero", this one is "rpi"`, true},
		"an older one":                {"update", older, "is older than what runs, 1.0.0 of 2026-11-01: --downgrade", true},
		"an older one that is wanted": {"update downgrade", older, "ok 1.1.0", false},
		"another key": {"update", func(t *testing.T, b *bench) []byte {
			trusted := b.key
			b.key, _ = NewSecretKey()
			defer func() { b.key = trusted }()
			return b.update(t)
		}, "which this gateway does not trust", true},
		"a changed version": {"update", func(t *testing.T, b *bench) []byte {
			return bytes.Replace(b.update(t), []byte("version 1.1.0"), []byte("version 9.9.9"), 1)
		}, "the file was changed", true},
		"cut short in the contents": {"update", func(t *testing.T, b *bench) []byte {
			f := b.update(t)
			return f[:len(f)-1000]
		}, "it ends after", false},
		"cut short before them": {"update", func(t *testing.T, b *bench) []byte {
			f := b.update(t)
			return f[:bytes.Index(f, []byte("end\n"))+4]
		}, "unpacking: EOF", true},
		"other contents": {"update", func(t *testing.T, b *bench) []byte {
			return b.sign(slotstest.Describe(t, contents(), "1.1.0", 2), pack(slotstest.Contents(3, newSize)))
		}, "not those that were signed", true},
		"no question": {"hello", func(*testing.T, *bench) []byte { return nil }, "not a question of this version", true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.ready(t)
			if got := b.ask(t, tc.line, tc.file(t, b)); !strings.Contains(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if err := b.Card.Check(); err != nil {
				t.Error(err)
			}
			_, m, _ := b.Card.Slot(3)
			if kept := m != nil && m.Version == "1.0.0"; kept != tc.kept && !strings.HasPrefix(tc.want, "ok") {
				t.Errorf("slot 3 is as it was: %v, want %v", kept, tc.kept)
			}
		})
	}
}

func TestWhereNoUpdateGoes(t *testing.T) {
	for want, prepare := range map[string]func(*bench){
		"this card has one slot":        func(b *bench) { b.Card.OneSlot = true },
		"everything is kept in memory":  func(b *bench) { b.Volatile = func() bool { return true } },
		"did not say which slot runs":   func(b *bench) { b.Slot = 0 },
		"slot 3 is the one that starts": func(b *bench) { b.Card.Choose(3) },
	} {
		t.Run(want, func(t *testing.T) {
			b := newBench(t)
			prepare(b)
			if _, err := b.install(t.Context(), bytes.NewReader(b.update(t)), false, func(int64, int64) {}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestASickGatewayIsNoObstacle: what is ill may be cured by an update.
func TestASickGatewayIsNoObstacle(t *testing.T) {
	b := newBench(t)
	b.gateway.set(Health{}, errDown)
	rec, err := b.install(t.Context(), bytes.NewReader(b.update(t)), false, func(int64, int64) {})
	if err != nil || rec.Phase != Written || !reflect.DeepEqual(rec.Before, Health{}) {
		t.Errorf("%+v, %v", rec, err)
	}
}

// TestOtherUsers connects as another user, from a thread that is one.
func TestOtherUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be another user for a moment")
	}
	const stranger, friend = 65534, 900
	b := newBench(t)
	os.Chmod(filepath.Dir(filepath.Dir(b.Socket)), 0o755)
	b.Users = []uint32{friend}
	b.run(t)
	b.ask(t, "status", nil) // it listens
	for _, tc := range []struct {
		user uintptr
		want string
	}{{stranger, "refused only root"}, {friend, "ok version"}} {
		runtime.LockOSThread()
		keep := ^uintptr(0)
		if _, _, err := unix.RawSyscall(unix.SYS_SETRESUID, keep, tc.user, keep); err != 0 {
			t.Fatal(err)
		}
		c, err := net.Dial("unix", b.Socket)
		unix.RawSyscall(unix.SYS_SETRESUID, keep, 0, keep)
		runtime.UnlockOSThread()
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(time.Minute))
		io.WriteString(c, "status\n")
		answer, _ := io.ReadAll(c)
		c.Close()
		if !strings.HasPrefix(string(answer), tc.want) {
			t.Errorf("user %d: %q, want %q", tc.user, answer, tc.want)
		}
	}
}

// A first line without an end is not waited for, nor kept.
func TestALineWithoutEnd(t *testing.T) {
	b := newBench(t)
	b.run(t)
	b.ask(t, "status", nil) // it listens
	c, err := net.Dial("unix", b.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience * 2 / 3))  // before the updater gives up on a silent client
	io.Copy(c, bytes.NewReader(make([]byte, 1<<20))) // it may have closed before all is written
	if _, err := c.Read(make([]byte, 1)); os.IsTimeout(err) {
		t.Error("the updater waits for the end of a line of 1 MiB")
	}
}
