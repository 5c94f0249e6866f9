package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/emulator"
	"github.com/dunlin-mqtt/dunlin/build/image/slots"
)

// patience is for a loaded machine: more than ten times what a step
// takes.
var patience = 5 * time.Minute

func main() {
	images := flag.String("images", "../out/image", "`directory` of the images")
	flag.Parse()
	failed, begin := 0, time.Now()
	for _, c := range []struct {
		name string
		play func(*card)
	}{{"rpi", playRaspi3}, {"pizero", playRaspi0}} {
		if flag.NArg() > 0 && !slices.Contains(flag.Args(), c.name) {
			continue
		}
		w := &card{name: c.name, begin: time.Now()}
		if err := w.run(*images, c.play); err != nil {
			w.check("the card can be booted", err)
		}
		fmt.Printf("%s: %d passed, %d failed, %.0f s\n", c.name, w.passed, w.failed, time.Since(w.begin).Seconds())
		failed += w.failed
	}
	if failed > 0 {
		fmt.Printf("image-test: %d checks failed\n", failed)
		os.Exit(1)
	}
	fmt.Printf("image-test: ok, %.0f s\n", time.Since(begin).Seconds())
}

// card is one card under test, and the board it is in.
type card struct {
	name, dir      string
	m              *emulator.Machine // nil while the board has no power
	begin          time.Time
	passed, failed int
}

func (c *card) run(images string, play func(*card)) error {
	found, err := filepath.Glob(filepath.Join(images, "dunlin-*-"+c.name+".img"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("%d images for %s in %s, want one: make image BOARD=%s", len(found), c.name, images, c.name)
	}
	if c.dir, err = os.MkdirTemp("", "boottest"); err != nil {
		return err
	}
	defer os.RemoveAll(c.dir)
	if err := emulator.Card(found[0], c.file(), 512<<20); err != nil {
		return err
	}
	defer func() { c.cut() }()
	play(c)
	return nil
}

func (c *card) file() string { return filepath.Join(c.dir, "card") }

// power gives the board power, and waits for its network.
func (c *card) power(b emulator.Board) bool {
	m, err := b.Boot(c.file(), emulator.Options{Slot: slots.SlotA.Number, Ports: []int{1883}})
	if err != nil {
		return c.check("the board starts", err)
	}
	c.m = m
	return c.check("the board has an address", m.Connected(patience))
}

// cut takes the power away, as a pulled plug does.
func (c *card) cut() {
	if c.m == nil {
		return
	}
	c.m.Kill()
	if c.failed > 0 {
		fmt.Println("--- what the board said:\n" + c.m.Said())
	}
	if err := c.m.Close(); err != nil {
		fmt.Println("boottest:", err)
	}
	c.m = nil
}

func (c *card) check(what string, err error) bool {
	seconds := time.Since(c.begin).Seconds()
	if err != nil {
		c.failed++
		patience = min(patience, 30*time.Second) // the rest may be the consequence
		fmt.Printf("FAILED %5.1f s  %s: %s: %v\n", seconds, c.name, what, err)
		return false
	}
	c.passed++
	fmt.Printf("ok %5.1f s  %s: %s\n", seconds, c.name, what)
	return true
}

// becomes waits until a condition holds.
func (c *card) becomes(what string, good func() error) bool {
	err := good()
	for end := time.Now().Add(patience); err != nil && time.Now().Before(end); err = good() {
		time.Sleep(100 * time.Millisecond)
	}
	return c.check(what, err)
}

// drive is the drive DUNLIN for mtools.
func (c *card) drive() string { return fmt.Sprintf("%s@@%d", c.file(), slots.Selector.Offset()) }

// put writes a file to the drive DUNLIN, as a user would.
func (c *card) put(name, text string) error {
	cmd := exec.Command("mcopy", "-oQ", "-i", c.drive(), "-", "::"+name)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mcopy: %w: %s", err, out)
	}
	return nil
}

// folder makes one on the drive DUNLIN.
func (c *card) folder(name string) error {
	if out, err := exec.Command("mmd", "-i", c.drive(), "::"+name).CombinedOutput(); err != nil {
		return fmt.Errorf("mmd: %w: %s", err, out)
	}
	return nil
}

// get reads a file on it.
func (c *card) get(name string) (string, error) {
	out, err := exec.Command("mtype", "-i", c.drive(), "::"+name).Output()
	if err != nil {
		return "", fmt.Errorf("%s is not on the drive DUNLIN", name)
	}
	return string(out), nil
}
