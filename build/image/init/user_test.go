package main

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/network/mdns"
	"github.com/dunlin-mqtt/dunlin/build/image/update"
)

// t0 is a moment.
var t0 = time.Now()

func TestParsePassword(t *testing.T) {
	for text, want := range map[string]string{
		"curlew-whimbrel":                "admin curlew-whimbrel",
		"curlew-whimbrel\r\n":            "admin curlew-whimbrel",
		"carol:with:a colon \n":          "carol with:a colon",
		"short":                          "",
		"":                               "",
		":nobody-has-this":               "",
		"carol:first-line\nsecond-line":  "",
		"carol:with\x00zero-byte-inside": "",
	} {
		user, password, err := parsePassword(text)
		if got := user + " " + password; err == nil && got != want || err != nil && want != "" {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestNewPasswordsDiffer(t *testing.T) {
	a, b := newPassword(), newPassword()
	if len(a) != 19 || a == b || strings.Count(a, "-") != 3 {
		t.Errorf("%s and %s", a, b)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEraseLeavesNoBytes(t *testing.T) {
	name := filepath.Join(t.TempDir(), "password.txt")
	write(t, name, "secret")
	// The bytes are looked at through another name of the same file.
	other := name + ".other"
	if err := os.Link(name, other); err != nil {
		t.Fatal(err)
	}
	if err := erase(name); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(other); err != nil || string(b) != "\x00\x00\x00\x00\x00\x00" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := os.Stat(name); err == nil {
		t.Error("the file is still there")
	}
}

func TestConfigFiles(t *testing.T) {
	dir := t.TempDir()
	if files, err := configFiles(dir); files != nil || err != nil {
		t.Errorf("of an empty card: %v, %v", files, err)
	}
	for _, name := range []string{"dunlin.yaml", "AWS.PEM", "aws.key", ".hidden.pem", "notes.txt", "kernel.img"} {
		write(t, filepath.Join(dir, name), "\xef\xbb\xbf"+name)
	}
	files, err := configFiles(dir)
	if err != nil || len(files) != 3 || string(files["AWS.PEM"]) != "AWS.PEM" || files["aws.key"] == nil {
		t.Errorf("%q, %v", files, err)
	}
	write(t, filepath.Join(dir, "dunlin.yaml"), strings.Repeat("#", fileLimit+1))
	if _, err := configFiles(dir); err == nil {
		t.Error("a file of any length is read")
	}
}

// What a configuration includes comes with it, and goes with it.
func TestIncludedFiles(t *testing.T) {
	card, etc := t.TempDir(), t.TempDir()
	for _, name := range []string{"dunlin.yaml", "more.yaml", "conf.d/Pump.YAML", "conf.d/notes.txt", "else/other.yaml"} {
		write(t, filepath.Join(card, name), name)
	}
	files, err := configFiles(card)
	if err != nil || len(files) != 3 || string(files["conf.d/Pump.YAML"]) != "conf.d/Pump.YAML" || files["more.yaml"] == nil {
		t.Fatalf("%q, %v", files, err)
	}
	for name, text := range files {
		write(t, filepath.Join(etc, name), string(text))
	}
	write(t, filepath.Join(etc, "users"), "carol")
	write(t, filepath.Join(etc, "gone.key"), "a key that is not left on the card")
	if !sameFiles(etc, files) {
		t.Error("the same files are others")
	}
	write(t, filepath.Join(etc, "conf.d/old.yaml"), "devices: []")
	if sameFiles(etc, files) {
		t.Error("a file that is gone from the card stays included")
	}
}

// Whatever moment the power goes at, there is a whole configuration after it.
func TestSwapIsWholeAtEveryMoment(t *testing.T) {
	begin := func() string {
		dir := filepath.Join(t.TempDir(), "etc")
		write(t, dir+"/dunlin.yaml", "old")
		write(t, dir+".new/dunlin.yaml", "new")
		return dir
	}
	content := func(dir string) string {
		os.MkdirAll(dir, 0o755) // as mountData does
		mendSwap(dir)
		b, _ := os.ReadFile(dir + "/dunlin.yaml")
		return string(b)
	}
	if dir := begin(); swap(dir) != nil || content(dir) != "new" {
		t.Error("the new one is not there")
	}
	dir := begin()
	if err := os.Rename(dir, dir+".old"); err != nil { // swap's first half
		t.Fatal(err)
	}
	if got := content(dir); got != "old" {
		t.Errorf("after a power cut in between: %q", got)
	}
}

func TestReportsOfPartsStandTogether(t *testing.T) {
	dir := t.TempDir()
	read := func() string { b, _ := os.ReadFile(filepath.Join(dir, errorsFile)); return string(b) }
	if err := writeReports(dir, map[string]string{"wifi": "no such network\nhelp", "data": "gone"}); err != nil {
		t.Fatal(err)
	}
	if got, want := read(), "data: gone\r\n\r\nwifi: no such network\r\nhelp\r\n\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for range 2 {
		if err := writeReports(dir, nil); err != nil || read() != "" {
			t.Errorf("when all is well: %q, %v", read(), err)
		}
	}
}

func TestHostNames(t *testing.T) {
	for name, good := range map[string]bool{"barn": true, "barn-2": true, "-barn": false, "a b": false, "ü": false, strings.Repeat("a", 64): false} {
		if hostname.MatchString(name) != good {
			t.Errorf("%q: not %v", name, good)
		}
	}
}

func TestLife(t *testing.T) {
	start := time.Now()
	l := newLife()
	l.sign = start
	p := &os.Process{}
	at := func(d time.Duration) time.Time { return start.Add(d) }
	l.started(p, start)
	if l.overdue(at(startTime)) != nil || l.overdue(at(startTime+1)) != p {
		t.Error("a start takes as long as it may, and no longer")
	}
	l.told("READY=1\nSTATUS=2 clients", at(time.Second))
	if !l.ready || l.status != "2 clients" {
		t.Errorf("%v, %q", l.ready, l.status)
	}
	if l.overdue(at(time.Second+silence)) != nil || l.overdue(at(time.Second+silence+1)) != p {
		t.Error("silence is noticed when it is one")
	}
	l.told("WATCHDOG=1\nSTATUS=3 clients\n", at(time.Minute))
	if l.overdue(at(time.Minute+silence)) != nil {
		t.Error("a sign of life is none")
	}
	l.ended("")
	l.started(p, at(2*time.Minute)) // a start is no sign of life
	if !l.lives(at(time.Minute+longSilence)) || l.lives(at(time.Minute+longSilence+1)) {
		t.Error("the machine's own end comes at the wrong time")
	}
}

// The hardware waits 15 s, and a gateway with much to end may take longer.
func TestTheWatchdogIsFedWhileTheMachineEnds(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBoard()
			ctx, stop := context.WithCancel(t.Context())
			ended, done := make(chan struct{}), make(chan struct{})
			var fed atomic.Int64 // nanoseconds since 1970
			go func() {
				defer close(done)
				b.feed(ctx, ended, func() error { fed.Store(time.Now().UnixNano()); return nil })
			}()
			time.Sleep(time.Minute)
			stop()
			begin := time.Now()
			time.Sleep(stopTime)
			synctest.Wait()
			if ago := time.Since(time.Unix(0, fed.Load())); ago > watchdogEvery {
				t.Errorf("last fed %v before the gateway ended", ago)
			}
			if !hangs {
				close(ended)
			}
			<-done
			if took := time.Since(begin); !hangs && took != stopTime || hangs && took != endTime {
				t.Errorf("hangs %v: fed for %v", hangs, took)
			}
		})
	}
}

func TestEventsOfTheKernel(t *testing.T) {
	for event, want := range map[string]string{
		"add@/devices/usb1/tty/ttyUSB0\x00ACTION=add\x00DEVNAME=ttyUSB0\x00SEQNUM=7\x00": "ttyUSB0",
		"remove@/devices/usb1/tty/ttyUSB0\x00ACTION=remove\x00DEVNAME=ttyUSB0\x00":       "",
		"add@/devices/usb1\x00ACTION=add\x00":                                            "",
		"add@/devices/usb1\x00DEVNAME=bus/usb/001/002\x00":                               "",
		"add@/x\x00DEVNAME=../../etc/passwd\x00":                                         "",
		"":                                                                               "",
	} {
		if got := addedDevice([]byte(event)); got != want {
			t.Errorf("%q: %q, want %q", event, got, want)
		}
	}
	for name, want := range map[string]int{"gpiochip0": gpio, "i2c-1": i2c, "spidev0.0": spi, "ttyUSB0": dialout, "ttyS0": dialout, "tty1": 0, "mmcblk0": 0, "ttyS": 0, "mem": 0} {
		if got := groupOf(name); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

func TestKeepStartsAPartAgain(t *testing.T) {
	b := newBoard()
	ctx, stop := context.WithCancel(t.Context())
	runs := 0
	b.keep(ctx, part{"part", func(context.Context) error {
		if runs++; runs == 2 {
			stop()
		}
		return os.ErrInvalid
	}})
	if runs != 2 {
		t.Errorf("%d runs", runs)
	}
}

// Who works on the card may report meanwhile, although another report waits for
// the card.
func TestReportsDoNotWaitForTheCard(t *testing.T) {
	b := newBoard()
	b.card <- struct{}{}
	waiting := make(chan struct{})
	go func() {
		defer close(waiting)
		b.report("network", "no router")
	}()
	for !bytes.Contains(b.log.text(), []byte("no router")) {
		runtime.Gosched()
	}
	noted := make(chan struct{})
	go func() {
		defer close(noted)
		b.note("data", "full")
	}()
	select {
	case <-noted:
	case <-time.After(10 * time.Second):
		t.Error("a note on the card waits for a report that waits for the card")
	}
	<-b.card
	<-waiting
	if len(b.reports.text) != 2 {
		t.Errorf("reports: %v", b.reports.text)
	}
}

// A file is read as every editor saves it.
func TestTextsOfEditors(t *testing.T) {
	name := filepath.Join(t.TempDir(), "password.txt")
	for how, text := range map[string]string{
		"UTF-8":         "Café 🐦",
		"UTF-8, marked": "\xef\xbb\xbfCafé 🐦",
		"UTF-16LE":      "\xff\xfeC\x00a\x00f\x00\xe9\x00 \x00\x3d\xd8\x26\xdc",
		"UTF-16BE":      "\xfe\xff\x00C\x00a\x00f\x00\xe9\x00 \xd8\x3d\xdc\x26",
		"cut off":       "\xff\xfeC\x00a\x00f\x00\xe9\x00 \x00\x3d\xd8\x26\xdc!",
	} {
		write(t, name, text)
		if b, err := readSmall(name, 100); err != nil || string(b) != "Café 🐦" {
			t.Errorf("%s: %q, %v", how, b, err)
		}
	}
	for _, text := range []string{"", "\xff\xfe", "\xff\xfe!"} {
		write(t, name, text)
		if b, err := readSmall(name, 100); err != nil || b == nil || len(b) > 0 {
			t.Errorf("%q: %q, %v", text, b, err)
		}
	}
}

func TestMisnamedFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"dunlin.yaml", "dunlin.key", "README.txt", "wifi.txt", "dunlin-log.txt", "password.old", "Dunlin.yaml.TXT", "dunlin.yml", "password.txt.txt", "hostname", "network.txt~"} {
		write(t, filepath.Join(dir, name), "x")
	}
	want := map[string]string{"Dunlin.yaml.TXT": "dunlin.yaml", "dunlin.yml": "dunlin.yaml", "password.txt.txt": "password.txt", "hostname": "hostname.txt"}
	if got := misnamed(dir); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A password is not left lying about, whatever is wrong with the file.
func TestPasswordFilesAreErased(t *testing.T) {
	for what, text := range map[string]string{"empty": "", "short": "x", "too long": strings.Repeat("x", 5000)} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, passwordFile), text)
		if err := newBoard().takePassword(t.Context(), dir); err == nil {
			t.Errorf("%s: it is taken", what)
		}
		if _, err := os.Stat(filepath.Join(dir, passwordFile)); err == nil {
			t.Errorf("%s: it is still there", what)
		}
	}
}

func TestEmptyConfigurationIsRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, configFile), "\xef\xbb\xbf\r\n")
	if files, err := configFiles(dir); err == nil || files != nil {
		t.Errorf("%q", files)
	}
}

// A gateway that does not start is counted, until one has served.
func TestVainStarts(t *testing.T) {
	l := newLife()
	for run, serves := range []bool{false, false, true, false} {
		l.started(nil, t0)
		if serves {
			l.told("READY=1", t0)
		}
		if got, want := l.ended(""), []int{1, 2, 0, 1}[run]; got != want {
			t.Errorf("after run %d: %d, want %d", run+1, got, want)
		}
	}
}

// What init runs in place of a configuration that a new version refuses does
// not count as that version.
func TestTrialWantsTheConfiguration(t *testing.T) {
	b := newBoard()
	g := trusted{Gateway: healthy{}, board: b}
	if h, err := g.Health(t.Context()); err != nil || h.Devices != 1 {
		t.Errorf("%v, %v", h, err)
	}
	b.emergency.Store(true)
	if _, err := g.Health(t.Context()); err == nil {
		t.Error("the configuration that the image came with passes a trial")
	}
}

// A gateway that was started anew since the last look is well again, and did
// not pass.
func TestTrialWantsOneRun(t *testing.T) {
	b := newBoard()
	g := trusted{Gateway: healthy{}, board: b}
	b.life.ended("exit status 2: panic: index out of range")
	b.life.told("READY=1", t0)
	if _, err := g.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "index out of range") {
		t.Errorf("%v", err)
	}
	if _, err := g.Health(t.Context()); err != nil {
		t.Errorf("the run before is told twice: %v", err)
	}
}

// What a gateway says at its end explains more than the connection that broke.
func TestTrialTellsWhyTheGatewayEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		g := trusted{Gateway: broken{}, board: b}
		time.AfterFunc(100*time.Millisecond, func() { b.life.ended("exit status 2: panic: index out of range") })
		for range 2 { // while it ends, and after it
			if _, err := g.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "index out of range") {
				t.Errorf("%v", err)
			}
		}
	})
}

type broken struct{ update.Gateway }

func (broken) Health(context.Context) (update.Health, error) {
	return update.Health{}, errors.New("connection reset by peer")
}

func TestLastWords(t *testing.T) {
	said := "INFO serving\npanic: index out of range [3]\n\ngoroutine 7 [running]:\nmain.main()\n\t/main.go:7 +0x1\n"
	for _, tc := range []struct {
		err        error
		said, want string
	}{
		{errors.New("exit status 2"), said, "exit status 2: panic: index out of range [3]"},
		{errors.New("signal: killed"), "INFO serving\n\n", "signal: killed, as the kernel does when memory runs out"},
		{errors.New("exit status 1"), "INFO serving\nERROR no disk\n\n", "exit status 1: ERROR no disk"},
		{nil, "", "it ended by itself"},
	} {
		if got := lastWords(tc.err, tc.said); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
	if got := tail("first line\nsecond\nthird\n", 15); got != "second\nthird\n" {
		t.Errorf("%q", got)
	}
}

func TestWhatIsAnnounced(t *testing.T) {
	door := func(kind, at, path string, tls bool) update.Door {
		return update.Door{Kind: kind, At: netip.MustParseAddrPort(at), Path: path, TLS: tls}
	}
	got := announced([]update.Door{
		door("page", "[::]:8083", "", false), door("mqtt", "[::]:1884", "", false), door("mqtt", "10.0.0.5:8883", "", true),
		door("websocket", "[::]:8083", "/mqtt", false), door("websocket", "[::]:443", "/ws", true), door("mqtt", "127.0.0.1:1883", "", false),
	})
	want := []mdns.Service{
		{Type: "_http._tcp", Port: 8083}, {Type: "_mqtt._tcp", Port: 1884}, {Type: "_secure-mqtt._tcp", Port: 8883, Addr: netip.MustParseAddr("10.0.0.5")},
		{Type: "_mqtt-ws._tcp", Port: 8083, Text: "path=/mqtt"}, {Type: "_mqtt-wss._tcp", Port: 443, Text: "path=/ws"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// What is told follows dunlin's life: nothing before it serves, nothing after
// it has ended.
func TestServicesFollowTheGateway(t *testing.T) {
	b := newBoard()
	b.served.Store(&[]mdns.Service{{Type: "_mqtt._tcp", Port: 1883}}) // of a run before
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.services(ctx) }()
	for b.servedNow() != nil {
		runtime.Gosched()
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

type healthy struct{ update.Gateway }

func (healthy) Health(context.Context) (update.Health, error) {
	return update.Health{MQTT: true, Devices: 1}, nil
}
