package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/scripts/board/initramfs"
)

// scenario is one board and what is done to it.
type scenario struct {
	name    string
	console string // the kernel's
	modules []string
	config  string // dunlin's; {port} is that of the broker here
	qemu    func(k *initramfs.Kernel, dir string) []string
	data    string                                      // where dunlin's state is, of the kernel's devices; empty is memory
	prepare func(k *initramfs.Kernel, dir string) error // nil for nothing
	play    func(w *world)
}

var scenarios = []scenario{ast2600(), virt(), sabrelite()}

func main() {
	kernelDir := flag.String("kernel", "build/out/kernels/armhf", "an unpacked linux-image package with a file \"version\"")
	program := flag.String("dunlin", "build/out/board/dunlin", "dunlin for ARMv7")
	guest := flag.String("guest", "build/out/board/guest", "scripts/board/guest for ARMv7")
	patience := flag.Duration("patience", 3*time.Minute, "how long a value may take")
	flag.Parse()
	k, err := initramfs.OpenKernel(*kernelDir)
	for _, name := range flag.Args() {
		if !slices.ContainsFunc(scenarios, func(s scenario) bool { return s.name == name }) {
			err = errors.Join(err, fmt.Errorf("there is no board %q", name))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "board:", err)
		os.Exit(1)
	}
	failed, begin := 0, time.Now()
	for _, s := range scenarios {
		if flag.NArg() > 0 && !slices.Contains(flag.Args(), s.name) {
			continue
		}
		w := &world{scenario: s, begin: time.Now(), patience: *patience}
		if err := w.run(k, *program, *guest); err != nil {
			w.check("the board can be played with", false, err.Error())
		}
		fmt.Printf("%s: %d passed, %d failed, %.0f s\n", s.name, w.passed, w.failed, time.Since(w.begin).Seconds())
		failed += w.failed
	}
	if failed > 0 {
		fmt.Printf("board: %d checks failed\n", failed)
		os.Exit(1)
	}
	fmt.Printf("board: ok, %.0f s\n", time.Since(begin).Seconds())
}

// world is all around one board.
type world struct {
	scenario
	m              *machine
	broker         *broker
	dir            string
	begin          time.Time
	patience       time.Duration // how long a value may take to arrive
	passed, failed int
	start          func() error // the board's machine, anew
}

func (w *world) run(k *initramfs.Kernel, program, guest string) error {
	var err error
	if w.dir, err = os.MkdirTemp("", "board"); err != nil {
		return err
	}
	defer os.RemoveAll(w.dir)
	if w.broker, err = startBroker(w.dir); err != nil {
		return err
	}
	defer func() { w.broker.stop() }()
	if err := w.pack(k, program, guest); err != nil {
		return err
	}
	if w.prepare != nil {
		if err := w.prepare(k, w.dir); err != nil {
			return err
		}
	}
	args := append(w.qemu(k, w.dir), "-kernel", k.Image(), "-initrd", w.dir+"/initrd",
		"-append", "console="+w.console+" quiet panic=-1 rdinit=/init"+w.data)
	w.start = func() (err error) {
		w.m, err = boot(w.dir, args...)
		return err
	}
	if err := w.start(); err != nil {
		return err
	}
	defer func() { w.m.Kill() }()
	w.play(w)
	if w.failed > 0 {
		for _, topic := range w.broker.topics() {
			fmt.Println("--- at the broker:", topic, w.broker.value(topic))
		}
		fmt.Println("--- what the board said:\n" + w.m.said())
	}
	return nil
}

// pack makes the board's first file system.
func (w *world) pack(k *initramfs.Kernel, program, guest string) error {
	a := &initramfs.Archive{}
	for _, dir := range []string{"dev", "proc", "sys", "run", "data", "etc", "tmp", "lib", "lib/modules"} {
		a.Dir(dir)
	}
	for name, from := range map[string]string{"init": guest, "dunlin": program} {
		content, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		a.File(name, content)
	}
	order, err := k.Load(a, w.modules)
	if err != nil {
		return err
	}
	a.File("modules", []byte(strings.Join(order, "\n")+"\n"))
	a.File("etc/dunlin.yaml", []byte(strings.ReplaceAll(w.config, "{port}", fmt.Sprint(w.broker.port))))
	return a.Write(w.dir + "/initrd")
}

func (w *world) check(what string, ok bool, detail string) bool {
	if ok {
		w.passed++
		fmt.Printf("ok %5.1f s  %s: %s\n", time.Since(w.begin).Seconds(), w.name, what)
	} else {
		w.failed++
		w.patience = min(w.patience, 5*time.Second) // the rest may be the consequence
		fmt.Printf("FAILED %5.1f s  %s: %s: %s\n", time.Since(w.begin).Seconds(), w.name, what, detail)
	}
	return ok
}

// do checks that something can be done.
func (w *world) do(what string, err error) bool {
	if err != nil {
		return w.check(what, false, err.Error())
	}
	return true
}

// becomes waits, but not for ever, for a topic of the board to have a value.
func (w *world) becomes(what, topic, want string) bool {
	return w.turns(what, topic, func(value string) bool { return value == want })
}

func (w *world) turns(what, topic string, good func(value string) bool) bool {
	topic = "sites/board/" + topic
	for end := time.Now().Add(w.patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if good(w.broker.value(topic)) {
			return w.check(what, true, "")
		}
	}
	return w.check(what, false, fmt.Sprintf("%s is %q", topic, w.broker.value(topic)))
}

// bridge is the part of dunlin's configuration that is the same on all boards.
const bridge = `
node: board
data_dir: /data
mqtt: {listeners: [{bind: "127.0.0.1:1883", anonymous: true}]}
http: {bind: ""}
log: {format: text}
gateway: {defaults: {interval: 500ms, stale_after: 10s, will_delay: 5s}}
bridges:
  host:
    servers: ["mqtt://10.0.2.2:{port}"]
    client_id: "{node}"
    keep_alive: 5s
    status_topic: "sites/{node}/status"
    out: [{from: "dunlin/{node}/#", to: "sites/{node}/#", qos: 1}]
    in: [{from: "cmd/{node}/#", to: "dunlin/{node}/#"}]
`

// outage stops the broker here while numbered lines arrive at the board, and
// wants every one of them, in their order, afterwards.
func (w *world) outage(say func(text string) error, topic string) {
	topic = "sites/board/" + topic
	before := len(w.broker.values(topic))
	w.broker.stop()
	for n := 1; n <= 20; n++ {
		w.do("a line arrives at the board", say(fmt.Sprintf(`{"n": %d}`, 1000+n)))
		time.Sleep(50 * time.Millisecond)
	}
	if !w.do("the broker starts again", w.broker.start()) {
		return
	}
	w.turns("what was said while the broker was away arrives", strings.TrimPrefix(topic, "sites/board/"), func(value string) bool { return value == "1020" })
	var want, got []string
	for n := 1; n <= 20; n++ {
		want = append(want, fmt.Sprint(1000+n))
	}
	for _, v := range w.broker.values(topic)[min(before, len(w.broker.values(topic))):] {
		if slices.Contains(want, v) && !slices.Contains(got, v) { // QoS 1: what was sent and not acknowledged comes twice
			got = append(got, v)
		}
	}
	w.check("every line of the outage is there, in order", slices.Equal(got, want), strings.Join(got, " "))
}
