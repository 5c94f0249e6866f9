package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

const (
	damageMessages = 5600 // of a kilobyte: enough for a checkpoint and segments after it
	damageRetained = 40
	diskPage       = 4096
)

// TestDamage harms each kind of file of a data directory in each way, and
// starts the real program on it. It always starts, loses what was on the
// harmed pages and nothing else, but for what follows in the last group of the
// journal (FORMAT.md); says so, and keeps the harmed file. Harm to the newest
// checkpoint, or to what only the one before it needs, costs nothing.
func TestDamage(t *testing.T) {
	t.Parallel() // it waits more than it works
	if testing.Short() {
		t.Skip("takes seconds")
	}
	whole := filepath.Join(t.TempDir(), "whole")
	prepareDamage(t, whole)
	rounds := times(t, "DAMAGE", 1)
	files := damageFiles(t, whole)
	for seed, kind := range slices.Sorted(maps.Keys(files)) {
		name := files[kind]
		for round := range rounds {
			for i, harm := range someHarms(rand.New(rand.NewPCG(uint64(round), uint64(seed)))) {
				t.Run(fmt.Sprintf("%s %s %d", kind, harm.name, round), func(t *testing.T) {
					t.Parallel()
					rng := rand.New(rand.NewPCG(uint64(i*rounds+round), uint64(seed))) // the same in each run
					d := &damaged{killing: killing{t: t, dir: t.TempDir()}}
					copyDir(t, whole, filepath.Join(d.dir, "data"))
					d.file = filepath.Join(d.dir, "data", name)
					b, err := os.ReadFile(d.file)
					if err != nil {
						t.Fatal(err)
					}
					before := bytes.Clone(b)
					var pages int
					if b, pages = harm.do(b, rng); pages < 0 {
						t.Skip("the file has no such place")
					}
					d.spare = kind == "checkpoint" || kind == "old segment"
					if kind == "last segment" {
						d.unsure = unsure(before, b)
					}
					if err := os.WriteFile(d.file, b, 0o600); err != nil {
						t.Fatal(err)
					}
					d.check(pages, strings.Contains(harm.name, "zeroed"))
				})
			}
		}
	}
}

// someHarms are all harms when DAMAGE asks for the whole matrix, else two of
// them: each takes seconds.
func someHarms(rng *rand.Rand) []harm {
	if os.Getenv("DAMAGE") != "" {
		return harms
	}
	i := rng.IntN(len(harms))
	return []harm{harms[i], harms[(i+len(harms)/2)%len(harms)]}
}

// harm is what a card may do to a file. do returns the pages that it touched.
type harm struct {
	name string
	do   func(b []byte, rng *rand.Rand) (harmed []byte, pages int)
}

var harms = []harm{
	{"cut to nothing", func(b []byte, _ *rand.Rand) ([]byte, int) { return nil, written(b) }},
	{"cut at a page", func(b []byte, rng *rand.Rand) ([]byte, int) {
		n := rng.IntN(written(b) + 1)
		return b[:n*diskPage], written(b) - n
	}},
	{"cut in a page", func(b []byte, rng *rand.Rand) ([]byte, int) {
		n := rng.IntN(max(written(b), 1))
		return b[:n*diskPage+1+rng.IntN(diskPage-1)], written(b) - n
	}},
	{"first page zeroed", func(b []byte, _ *rand.Rand) ([]byte, int) { return zero(b, 0, 1), 1 }},
	{"page zeroed", func(b []byte, rng *rand.Rand) ([]byte, int) { return zero(b, rng.IntN(max(written(b), 1)), 1), 1 }},
	{"all zeroed", func(b []byte, _ *rand.Rand) ([]byte, int) {
		n := written(b)
		return zero(b, 0, len(b)/diskPage), n
	}},
	{"bit flipped", func(b []byte, rng *rand.Rand) ([]byte, int) {
		b[rng.IntN(max(written(b), 1)*diskPage)] ^= 1 << rng.IntN(8)
		return b, 1
	}},
	{"end flipped", func(b []byte, rng *rand.Rand) ([]byte, int) { // nothing good follows: a write that was cut off
		n := latest(b)
		if n < 0 {
			return b, -1
		}
		b[n*diskPage+rng.IntN(64)] ^= 1 << rng.IntN(8)
		return b, 1
	}},
	{"header flipped", func(b []byte, rng *rand.Rand) ([]byte, int) {
		b[rng.IntN(max(written(b), 1))*diskPage+rng.IntN(32)] ^= 1 << rng.IntN(8)
		return b, 1
	}},
	{"page of elsewhere", func(b []byte, rng *rand.Rand) ([]byte, int) {
		n := max(written(b), 1)
		to := rng.IntN(n)
		copy(b[to*diskPage:][:diskPage], b[rng.IntN(n)*diskPage:])
		return b, 1
	}},
}

// written is how many pages of a file were used.
func written(b []byte) int {
	n := len(b) / diskPage
	for n > 0 && len(bytes.Trim(b[(n-1)*diskPage:n*diskPage], "\x00")) == 0 {
		n--
	}
	return n
}

// latest is the last page of a file that has the epoch of the first; -1 if it
// has no page.
func latest(b []byte) int {
	n := len(b)/diskPage - 1
	for n > 0 && !bytes.Equal(b[n*diskPage+8:][:8], b[8:][:8]) {
		n--
	}
	return n
}

// unsure is how many pages of the last group of a journal follow the first that
// was harmed, which counts; 0 if that is in another group.
func unsure(before, harmed []byte) int {
	last, at := latest(before), 0
	group := last
	for group > 0 && before[group*diskPage+26]&1 == 0 { // a group starts here
		group--
	}
	for at < len(harmed) && harmed[at] == before[at] {
		at++
	}
	if p := at / diskPage; p >= group && p <= last {
		return last - p + 1
	}
	return 0
}

func zero(b []byte, page, n int) []byte {
	clear(b[page*diskPage : (page+n)*diskPage])
	return b
}

// prepareDamage lets the program fill dir, and kills it.
func prepareDamage(t *testing.T, dir string) {
	t.Helper()
	k := &killing{t: t, dir: t.TempDir()}
	k.configure()
	k.start()
	s, err := k.dial("s")
	if err != nil {
		t.Fatal(err)
	}
	s.send(&packet.View{Type: packet.SUBSCRIBE, ID: 1, Filters: []packet.Filter{{Filter: []byte("d"), QoS: 1}}})
	if v, err := s.receive(); err != nil || v.Type != packet.SUBACK {
		t.Fatal(err)
	}
	s.nc.Close()
	p, err := k.dial("p")
	if err != nil {
		t.Fatal(err)
	}
	publish := func(topic, payload string, retain bool) {
		p.send(&packet.View{Type: packet.PUBLISH, ID: 1, Publish: packet.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: 1, Retain: retain}})
		if v, err := p.receive(); err != nil || v.Type != packet.PUBACK {
			t.Fatalf("%v, %v", v.Type, err)
		}
	}
	for n := range damageRetained {
		publish(fmt.Sprintf("r/%d", n), damagePayload(n), true)
	}
	for n := range damageMessages {
		publish("d", damagePayload(n), false)
	}
	k.kill()
	copyDir(t, filepath.Join(k.dir, "data"), dir)
}

// times is how often a test tries something: as the environment says, or n
// times.
func times(t *testing.T, variable string, n int) int {
	t.Helper()
	if s := os.Getenv(variable); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// damagePayload is a kilobyte that follows from n.
func damagePayload(n int) string { return strings.Repeat(fmt.Sprintf("%07d ", n), 128) }

// damageFiles names one file of each kind.
func damageFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries { // in order of their names, which is that of their age
		switch {
		case strings.HasPrefix(e.Name(), "checkpoint-"):
			files["checkpoint"] = e.Name()
		case !strings.HasSuffix(e.Name(), ".seg"):
		case files["old segment"] == "":
			files["old segment"] = e.Name()
		default:
			files["segment"], files["last segment"] = files["last segment"], e.Name()
		}
	}
	if len(files) != 4 || files["segment"] == "" {
		t.Fatalf("the program wrote %v", entries)
	}
	return files
}

// copyDir copies the regular files of a directory.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue // the control socket
		}
		b, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// damaged is a program that starts on harmed files.
type damaged struct {
	killing
	file   string
	spare  bool // what is in the file is said elsewhere, too
	unsure int  // pages of the last group from the harmed one on: a power cut may have done that, and they are not believed
	said   bytes.Buffer
}

// run starts the program and returns what a session and a new subscriber get.
func (d *damaged) run() (session, retained []string) {
	d.configure()
	d.said.Reset()
	d.cmd = exec.Command(os.Args[0], "run", "-c", filepath.Join(d.dir, "dunlin.yaml"))
	d.cmd.Env = append(os.Environ(), "DUNLIN_AS_PROGRAM=1")
	d.cmd.Stderr = io.MultiWriter(&d.said, d.t.Output())
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	defer d.stop()
	s, err := d.dial("s")
	if err != nil {
		d.t.Fatalf("it does not start: %v", err)
	}
	defer s.nc.Close()
	for _, p := range d.drain(s, "end") {
		if string(p.Topic) == "d" {
			session = append(session, string(p.Payload))
		}
	}
	n, err := d.dial("n")
	if err != nil {
		d.t.Fatal(err)
	}
	defer n.nc.Close()
	for _, p := range d.drain(n, "r/end", "r/#") {
		if p.Retain {
			retained = append(retained, string(p.Topic)+" "+string(p.Payload))
		}
	}
	return session, retained
}

// drain subscribes and takes everything until nothing was left before a
// message of its own.
func (d *damaged) drain(w *mortal, end string, filters ...string) (all []packet.Publish) {
	v := packet.View{Type: packet.SUBSCRIBE, ID: 60001}
	for _, f := range append(filters, end) {
		v.Filters = append(v.Filters, packet.Filter{Filter: []byte(f), QoS: 1})
	}
	w.send(&v)
	w.send(&packet.View{Type: packet.PUBLISH, ID: 60002, Publish: packet.Publish{Topic: []byte(end), QoS: 1}})
	for {
		v, err := w.receive()
		if err != nil {
			d.t.Fatal(err)
		}
		if v.Type != packet.PUBLISH {
			continue
		}
		if v.Publish.QoS == mqtt.AtLeastOnce {
			w.send(&packet.View{Type: packet.PUBACK, ID: v.ID})
		}
		if string(v.Publish.Topic) == end {
			w.send(&packet.View{Type: packet.PINGREQ})
			for v.Type != packet.PINGRESP { // the acknowledgement has arrived
				if v, err = w.receive(); err != nil {
					d.t.Fatal(err)
				}
			}
			return all
		}
		all = append(all, v.Publish)
	}
}

// check starts the program twice: on the harmed file, and on what it made of
// it.
func (d *damaged) check(pages int, zeroed bool) {
	t := d.t
	session, retained := d.run()
	first := d.said.String()
	lost := damageMessages - len(session) + damageRetained - len(retained)
	if most := 5*max(pages, d.unsure) + min(pages, 1); lost > most || lost > 0 && d.spare { // a page touches five records of a kilobyte at most
		t.Errorf("%d messages are lost to %d pages", lost, pages)
	}
	last := -1
	for _, text := range session {
		var n int
		if _, err := fmt.Sscanf(text, "%d ", &n); err != nil || text != damagePayload(n) || n <= last {
			t.Fatalf("%.20q came after %d", text, last)
		}
		last = n
	}
	for _, text := range retained {
		var n int
		if _, err := fmt.Sscanf(text, "r/%d ", &n); err != nil || text != fmt.Sprintf("r/%d %s", n, damagePayload(n)) {
			t.Errorf("retained %.20q", text)
		}
	}
	if told := strings.Contains(first, "nothing is lost"); told != (d.spare && strings.Contains(first, "damage was found")) {
		t.Errorf("told that nothing is lost: %v", told)
	}
	blank := zeroed && len(session) == last+1 // zeros at the end look like pages that were never written
	if told := strings.Contains(first, "damage was found") || strings.Contains(first, "cut off"); lost > 0 && !told && !blank {
		t.Errorf("%d messages are lost, and nothing is said", lost)
	}
	if strings.Contains(first, "damage was found") && strings.Contains(first, filepath.Base(d.file)) {
		if _, err := os.Stat(d.file + ".bad"); err != nil {
			t.Errorf("the harmed file is not kept: %v", err)
		}
	}
	again, retainedAgain := d.run()
	if len(again) > 0 || len(retainedAgain) != len(retained) || strings.Contains(d.said.String(), "damage was found") {
		t.Errorf("the second start has %d messages, %d retained:\n%s", len(again), len(retainedAgain), &d.said)
	}
	t.Logf("%d pages harmed, %d messages lost", pages, lost)
}
