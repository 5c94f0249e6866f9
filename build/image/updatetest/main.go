package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/emulator"
	"github.com/dunlin-mqtt/dunlin/build/image/slots"
	"github.com/dunlin-mqtt/dunlin/build/image/update"
)

// patience is for a loaded machine: ten times what a step takes.
const patience = 10 * time.Minute

// sending is how long an update may take to the guest: QEMU's full-speed USB
// passes 64 bytes twice a millisecond at best, 110 kB/s, and a slot has 27 MB.
const sending = 15 * time.Minute

const cardSize = 512 << 20

func main() {
	images := flag.String("images", "../out/image", "`directory` of the image")
	key := flag.String("key", os.Getenv("UPDATE_KEY"), "secret key that the image trusts; the default is build/out/update.key")
	cuts := flag.Int("cuts", 200, "points at which the power is cut")
	boots := flag.Int("boots", 3, "how many of these cards are booted")
	network := flag.Bool("network", false, "send the updates to the guest, over QEMU's slow network, and have the guest write them")
	flag.Parse()
	if *key == "" {
		*key = "../out/update.key"
	}
	t := &trial{begin: time.Now(), network: *network}
	if err := t.run(*images, *key, *cuts, *boots); err != nil {
		t.check("the test goes on", err)
	}
	fmt.Printf("update-test: %d passed, %d failed, %.0f s\n", t.passed, t.failed, time.Since(t.begin).Seconds())
	if t.failed > 0 {
		os.Exit(1)
	}
}

// trial is one card under test, and the board it is in.
type trial struct {
	begin          time.Time
	dir, card      string
	base           string // the card before what was recorded
	keys           []update.PublicKey
	m              *emulator.Machine // nil while the board has no power
	network        bool
	recorded       []write // of an update that was written here
	passed, failed int
}

func (t *trial) run(images, key string, cuts, boots int) error {
	found, err := filepath.Glob(filepath.Join(images, "dunlin-*-rpi.img"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("%d images in %s, want one: make image", len(found), images)
	}
	if t.dir, err = os.MkdirTemp("", "updatetest"); err != nil {
		return err
	}
	defer os.RemoveAll(t.dir)
	defer t.cut()
	t.card = filepath.Join(t.dir, "card")
	if err := emulator.Card(found[0], t.card, cardSize); err != nil {
		return err
	}
	t.base = filepath.Join(t.dir, "base")
	for name, text := range map[string]string{"dunlin.yaml": configuration, "password.txt": user + ":" + password} {
		if err := t.put(name, text); err != nil {
			return err
		}
	}
	files, err := t.makeUpdates(key)
	if err != nil {
		return err
	}
	if err := emulator.Card(t.card, t.base, cardSize); err != nil {
		return err
	}
	if !t.play(files) {
		return errors.New("a check failed that the others build on")
	}
	return t.powerCuts(cuts, boots)
}

// play is the life of a card: a good update, a broken one.
func (t *trial) play(files updates) bool {
	first, err := t.choice()
	if !t.check("the default slot is A", is(err, first == slots.Choice{Default: 2, Trial: 3}, first)) {
		return false
	}
	log := ""
	if t.network {
		log = t.log(1)
	}
	if !t.power(first.Default, log, "") || !t.up("the card starts") {
		return false
	}
	t.check("a message is kept", t.publish("kept", "through updates"))
	t.check("a foreign file is refused", t.refuses(make([]byte, 1<<20), "not an update file"))
	t.check("an update with a forged version is refused", t.refuses(files.forged, "was changed"))
	if !t.install("a good update", files.good) {
		return false
	}
	trial, err := t.choice()
	t.check("A is still the default", is(err, trial == first, trial))

	if !t.power(trial.Trial, t.log(2), "") || !t.up("B runs on trial") {
		return false
	}
	t.check("B commits itself", t.m.Says("committed: 9.0.0", patience))
	t.check("the data is there", t.kept())
	t.check("MQTT clients are told", t.told())
	second, err := t.choice()
	t.check("B is the default now", is(err, second == slots.Choice{Default: 3, Trial: 2}, second))
	if !t.network && !t.sends("an update with nothing to start", files.hollow) { // the firmware goes on with B
		return false
	}
	if !t.install("a broken update", files.broken) {
		return false
	}

	if !t.power(second.Trial, "", "panic=1") {
		return false
	}
	t.check("the broken A panics", t.restarts(false))
	third, err := t.choice()
	t.check("the firmware falls back to B", is(err, third == second, third))
	if !t.power(third.Default, "", "") || !t.up("B runs again") {
		return false
	}
	last := "9.0.5" // the last one that the guest knows of
	if t.network {
		last = "9.1.0"
	}
	t.check("B says what became of the update", t.says("fell back: "+last))
	t.check("the data is still there", t.kept())
	t.cut()
	return true
}

// power gives the board power; what it writes is logged, if there is a log.
func (t *trial) power(slot int, log, more string) bool {
	o := emulator.Options{Slot: slot, Ports: []int{1883, 8083}, Append: more, Trace: log != "" || more != ""}
	if log != "" {
		if err := os.WriteFile(log, nil, 0o600); err != nil {
			return t.check("a log of writes", err)
		}
		o.Drive = fmt.Sprintf("if=sd,driver=blklogwrites,file.driver=file,file.filename=%s,log.driver=file,log.filename=%s,log-sector-size=512", t.card, log)
	}
	var err error
	if t.m, err = emulator.Raspi3.Boot(t.card, o); err != nil {
		return t.check("the board starts", err)
	}
	return true
}

func (t *trial) log(n int) string { return filepath.Join(t.dir, fmt.Sprintf("log%d", n)) }

// cut takes the power away.
func (t *trial) cut() {
	if t.m == nil {
		return
	}
	if t.m.Kill(); t.failed > 0 {
		fmt.Println("--- what the board said:\n" + t.m.Said())
	}
	if err := t.m.Close(); err != nil {
		fmt.Println("updatetest:", err)
	}
	t.m = nil
}

// restarts waits until the machine has ended by itself, and wants it to have
// asked for a trial, or not.
func (t *trial) restarts(tryboot bool) error {
	select {
	case <-t.m.Ended():
	case <-time.After(patience):
		return errors.New("the machine does not restart")
	}
	asked := t.m.Tryboot()
	if asked == tryboot {
		defer func() { t.m = nil }()
		return t.m.Close()
	}
	return fmt.Errorf("it asked for a trial: %v", asked)
}

func (t *trial) check(what string, err error) bool {
	seconds := time.Since(t.begin).Seconds()
	if err != nil {
		t.failed++
		fmt.Printf("FAILED %5.1f s  %s: %v\n", seconds, what, err)
		return false
	}
	t.passed++
	fmt.Printf("ok %5.1f s  %s\n", seconds, what)
	return true
}

// is makes an error of what is not as it should be.
func is(err error, good bool, got any) error {
	if err == nil && !good {
		err = fmt.Errorf("it is %+v", got)
	}
	return err
}

// choice is what the firmware would read.
func (t *trial) choice() (c slots.Choice, err error) {
	err = onCard(t.card, func(card *slots.Card) error {
		c, err = card.Choice()
		return err
	})
	return c, err
}

// onCard opens a card's file for a moment.
func onCard(name string, do func(*slots.Card) error) error {
	d, err := slots.OpenDevice(name)
	if err != nil {
		return err
	}
	defer d.Close()
	c, err := slots.Open(d)
	if err != nil {
		return err
	}
	return do(c)
}

// put writes a file to the drive DUNLIN, as a user would.
func (t *trial) put(name, text string) error {
	cmd := exec.Command("mcopy", "-oQ", "-i", fmt.Sprintf("%s@@%d", t.card, slots.Selector.Offset()), "-", "::"+name)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mcopy: %w: %s", err, out)
	}
	return nil
}
