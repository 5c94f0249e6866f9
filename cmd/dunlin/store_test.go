package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// filledData is a data directory with a session that has messages, a queue, a
// will and retained messages. backup is what was in it.
func filledData(t *testing.T) (dir string, backup []byte) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	b := brokertest.New(t, func(o *broker.Options) { o.Data = &broker.Data{Dir: dir, Durability: broker.Always} })
	if _, err := b.AttachQueue(broker.QueueOptions{Name: "cloud", Filters: []mqtt.Subscription{{Filter: "q/#", QoS: 1}}}); err != nil {
		t.Fatal(err)
	}
	away := b.Client(mqtt.V5)
	away.Connect("cid=away clean=0 se=100000 will=w/away:gone")
	away.Send("SUBSCRIBE id=1 f=t/#@1")
	away.Expect("SUBACK id=1 rcs=0x01")
	away.Send("DISCONNECT")
	away.ExpectClosed()
	p := b.Client(mqtt.V5)
	p.Connect("cid=p")
	for _, line := range []string{
		"PUBLISH topic=t/1 payload=one qos=1 id=1", "PUBLISH topic=t/2 payload=two qos=1 id=1 up=a:b", "PUBLISH topic=q/1 payload=three qos=1 id=1",
		"PUBLISH topic=r/1 payload=four qos=1 id=1 retain=1",
	} {
		p.Send(line)
		p.Expect("PUBACK id=1 ...")
	}
	var w bytes.Buffer
	if err := b.Backup(&w); err != nil {
		t.Fatal(err)
	}
	r := dunlin(t, "", "store", "check", dir)
	if r.code != exitUnreachable || !strings.Contains(r.err, "another dunlin uses it") {
		t.Errorf("in use: %+v", r)
	}
	b.Stop()
	return dir, w.Bytes()
}

// contents are the files of a directory.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(b)
	}
	return all
}

func segmentOf(t *testing.T, dir string) string {
	t.Helper()
	for name := range contents(t, dir) {
		if strings.HasSuffix(name, ".seg") {
			return filepath.Join(dir, name)
		}
	}
	t.Fatal("no segment")
	return ""
}

func TestStoreCommand(t *testing.T) {
	dir, _ := filledData(t)
	before := contents(t, dir)
	r := dunlin(t, "", "store", "check", dir)
	if r.code != exitDone || !strings.Contains(r.out, dir+" is whole\nsessions: 1, queues: 1, messages: 3 (") {
		t.Errorf("check: %+v", r)
	}
	r = dunlin(t, "", "store", "show", dir)
	for _, want := range []string{`session "away", messages: 2 (`, `subscribed to "t/#", QoS 1`, `queue "cloud", messages: 1 (`, `retained "r/1", QoS 1, 4 B`} {
		if r.code != exitDone || !strings.Contains(r.out, want) {
			t.Errorf("show: no %s in %+v", want, r)
		}
	}
	r = dunlin(t, "", "store", "show", "--json", dir)
	if want := `{"retained":"r/1","qos":1,"bytes":4}`; !strings.Contains(r.out, want) || strings.Contains(r.out, "four") {
		t.Errorf("show --json: %+v", r)
	}
	r = dunlin(t, "", "store", "export", dir)
	got := map[string]string{}
	for line := range strings.Lines(r.out) {
		var m struct{ Kind, For, Topic, Payload string }
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if m.Kind != "" {
			got[m.Topic] = m.Kind + " " + m.For + " " + m.Payload
		}
	}
	want := map[string]string{"t/1": "queued away one", "t/2": "queued away two", "q/1": "queued cloud three", "r/1": "retained  four"}
	if !maps.Equal(got, want) || !strings.Contains(r.out, `"user_properties":[{"name":"a","value":"b"}]`) {
		t.Errorf("export: %v\n%s", got, r.out)
	}
	if after := contents(t, dir); !maps.Equal(before, after) {
		t.Error("looking changed the directory")
	}
}

func TestStoreCommandOnDamage(t *testing.T) {
	dir, _ := filledData(t)
	name := segmentOf(t, dir)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	clear(b[4096:8192]) // one of several
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	before := contents(t, dir)
	r := dunlin(t, "", "store", "check", "--json", dir)
	if r.code != exitFailed || !strings.Contains(r.out, `"use":"in use"`) || !strings.Contains(r.out, `"whole":false,"repaired":false`) {
		t.Errorf("check: %+v", r)
	}
	if after := contents(t, dir); !maps.Equal(before, after) {
		t.Error("a check changed the directory")
	}
	r = dunlin(t, "", "store", "check", "--repair", dir)
	if r.code != exitDone || !strings.Contains(r.out, "was written anew") {
		t.Errorf("repair: %+v", r)
	}
	if _, err := os.Stat(name + ".bad"); err != nil {
		t.Error(err)
	}
	r = dunlin(t, "", "store", "check", dir)
	if r.code != exitDone || !strings.Contains(r.out, "is whole") || !strings.Contains(r.out, "kept aside") {
		t.Errorf("after the repair: %+v", r)
	}
}

func TestStoreCommandRefuses(t *testing.T) {
	for _, tc := range []struct {
		args string
		code int
		want string
	}{
		{"check", exitUsage, "takes check, show or export"},
		{"chekc x", exitUsage, "did you mean check?"},
		{"show --repair x", exitUsage, "--repair goes with check"},
		{"check /nowhere/at/all", exitUnreachable, "no such file or directory"},
	} {
		if r := dunlin(t, "", append([]string{"store"}, strings.Fields(tc.args)...)...); r.code != tc.code || !strings.Contains(r.err, tc.want) {
			t.Errorf("%s: %+v", tc.args, r)
		}
	}
}

// A directory that a newer version wrote is refused, and not touched.
func TestStoreCommandOnNewerFormat(t *testing.T) {
	dir, _ := filledData(t)
	name := segmentOf(t, dir)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	le.PutUint16(b[28:], 2) // the version
	le.PutUint32(b[4:], crc32.Checksum(b[8:32+le.Uint16(b[2:])], crc32.MakeTable(crc32.Castagnoli)))
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	before := contents(t, dir)
	for _, args := range [][]string{{"check"}, {"check", "--repair"}, {"show"}, {"export"}} {
		r := dunlin(t, "", append(append([]string{"store"}, args...), dir)...)
		if r.code != exitUnreachable || r.out != "" || !strings.Contains(r.err, "written by a newer version of dunlin") {
			t.Errorf("%s: %+v", args, r)
		}
	}
	if !maps.Equal(before, contents(t, dir)) {
		t.Error("the directory was touched")
	}
}

// A backup goes into another directory, or over what is there, which is kept.
func TestRestoreCommand(t *testing.T) {
	dir, backup := filledData(t)
	before := contents(t, dir)
	file := filepath.Join(t.TempDir(), "monday.backup")
	if err := os.WriteFile(file, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	exported := dunlin(t, "", "store", "export", dir).out
	for _, to := range []string{dir, filepath.Join(t.TempDir(), "new")} {
		if r := dunlin(t, "", "restore", file, to); r.code != exitDone {
			t.Fatalf("%+v", r)
		}
		r := dunlin(t, "", "store", "check", to)
		if r.code != exitDone || !strings.Contains(r.out, "sessions: 1, queues: 1, messages: 3 (") {
			t.Errorf("%+v", r)
		}
		if again := dunlin(t, "", "store", "export", to).out; again != exported {
			t.Errorf("restored:\n%s\nwant\n%s", again, exported)
		}
	}
	for name, b := range before {
		if contents(t, dir)[name+".old"] != b {
			t.Errorf("%s is not kept", name)
		}
	}
	if err := os.WriteFile(file, backup[:len(backup)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	before = contents(t, dir)
	if r := dunlin(t, "", "restore", file, dir); r.code != exitFailed || !strings.Contains(r.err, "damaged, cut short, or none") || !maps.Equal(before, contents(t, dir)) {
		t.Errorf("a backup that is cut short: %+v", r)
	}
	b := brokertest.New(t, func(o *broker.Options) { o.Data = &broker.Data{Dir: dir} })
	away := b.Client(mqtt.V5)
	away.Connect("cid=away clean=0 se=100000 sp=1")
	away.Expect("PUBLISH id=1 topic=t/1 payload=one qos=1")
}

// What outgrew memory is counted, exported, backed up, restored and checked as
// the rest.
func TestStoreCommandOnSpilledQueues(t *testing.T) {
	const messages = 1500
	dir := filepath.Join(t.TempDir(), "data")
	b := brokertest.New(t, func(o *broker.Options) { o.Data = &broker.Data{Dir: dir} })
	if _, err := b.AttachQueue(broker.QueueOptions{Name: "cloud", Filters: []mqtt.Subscription{{Filter: "q", QoS: 1}}}); err != nil {
		t.Fatal(err)
	}
	p := b.Client(mqtt.V5)
	p.Connect("cid=p")
	filler := strings.Repeat("x", 1000)
	for n := range messages {
		p.Send(fmt.Sprintf("PUBLISH topic=q payload=%d-%s qos=1 id=1", n, filler))
		p.Expect("PUBACK id=1 ...")
	}
	file := filepath.Join(t.TempDir(), "b")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Backup(f), f.Close()); err != nil {
		t.Fatal(err)
	}
	b.Stop()
	spill := spillOf(t, dir)
	restored := filepath.Join(t.TempDir(), "new")
	if r := dunlin(t, "", "restore", file, restored); r.code != exitDone {
		t.Fatalf("%+v", r)
	}
	want := ""
	for _, d := range []string{dir, restored} {
		if r := dunlin(t, "", "store", "check", d); r.code != exitDone || !strings.Contains(r.out, fmt.Sprintf("queues: 1, messages: %d (1.", messages)) {
			t.Errorf("check: %+v", r)
		}
		got := dunlin(t, "", "store", "export", d).out
		if n := strings.Count(got, `"topic":"q"`); n != messages || want != "" && got != want {
			t.Errorf("%s exports %d messages", d, n)
		}
		want = got
	}
	if r := dunlin(t, "", "restore", file, dir); r.code != exitDone {
		t.Fatalf("%+v", r)
	}
	if _, err := os.Stat(spill + ".old"); err != nil {
		t.Errorf("what was spilled before the restore is not kept: %v", err)
	}
}

// Each harm to a spill file: the program starts, what was on the harmed pages
// and nothing else is lost, and a check tells.
func TestDamagedSpill(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const messages = 5600 // of a kilobyte: enough for a checkpoint, which names the spill files
	whole := filepath.Join(t.TempDir(), "data")
	b := brokertest.New(t, func(o *broker.Options) { o.Data = &broker.Data{Dir: whole} })
	if _, err := b.AttachQueue(broker.QueueOptions{Name: "cloud", Filters: []mqtt.Subscription{{Filter: "q", QoS: 1}}}); err != nil {
		t.Fatal(err)
	}
	p := b.Client(mqtt.V5)
	p.Connect("cid=p")
	for n := range messages {
		p.Send("PUBLISH topic=q payload=" + strings.TrimSpace(strings.ReplaceAll(damagePayload(n), " ", "-")) + " qos=1 id=1")
		p.Expect("PUBACK id=1 ...")
	}
	b.Stop()
	rng := rand.New(rand.NewPCG(1, 1))
	for _, harm := range someHarms(rng) {
		t.Run(harm.name, func(t *testing.T) {
			d := &damaged{killing: killing{t: t, dir: t.TempDir()}}
			dir := filepath.Join(d.dir, "data")
			copyDir(t, whole, dir)
			name := spillOf(t, dir)
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			text, pages := harm.do(text, rng)
			if err := os.WriteFile(name, text, 0o600); err != nil {
				t.Fatal(err)
			}
			checked := dunlin(t, "", "store", "check", dir)
			if checked.code == exitFailed && (!strings.Contains(checked.out, "bad pages of *.spill") || strings.Contains(checked.out, "--repair")) {
				t.Errorf("the check promises more than can be: %s", checked.out)
			}
			d.run()
			last, left := -1, 0
			for line := range strings.Lines(dunlin(t, "", "store", "export", dir).out) {
				var m struct{ Topic, Payload string }
				if err := json.Unmarshal([]byte(line), &m); err != nil || m.Topic != "q" {
					continue
				}
				var n int
				fmt.Sscanf(m.Payload, "%d-", &n)
				if m.Payload != strings.ReplaceAll(damagePayload(n), " ", "-") || n <= last {
					t.Fatalf("%.20q came after %d", m.Payload, last)
				}
				last, left = n, left+1
			}
			if lost := messages - left; lost > 5*pages+1 || lost > 0 && checked.code != exitFailed {
				t.Errorf("%d pages harmed, %d messages lost; the check said %+v", pages, lost, checked)
			}
		})
	}
}

func spillOf(t *testing.T, dir string) string {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(contents(t, dir))) {
		if strings.HasSuffix(name, ".spill") {
			return filepath.Join(dir, name)
		}
	}
	t.Fatal("nothing was spilled")
	return ""
}
