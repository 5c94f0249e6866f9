package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/slots"
	"github.com/dunlin-mqtt/dunlin/build/image/update"
)

func main() {
	name := flag.String("board", "rpi", "rpi (Pi 3, 4, 5, Zero 2 W) or pizero (Pi 1, Zero)")
	out := flag.String("out", "../out/image", "`directory` of what is made")
	plain := flag.Bool("plain", false, "do not compress the image")
	flag.Parse()
	if err := run(*name, *out, !*plain); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(name, out string, compress bool) error {
	k, ok := kinds[name]
	if !ok {
		return fmt.Errorf("there is no board %q: rpi or pizero", name)
	}
	b, err := newBuild(name, k, out)
	if err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"key of updates", b.updateKey},
		{"programs", b.programs},
		{"first file system", b.rootfs},
		{"slot", b.slotTree},
		{"partitions", b.partitions},
		{"manifest", b.describe},
		{"card", b.card},
		{"update", b.updateFile},
		{"licences", b.licences},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		b.say(step.what)
	}
	if compress {
		// The dictionary reaches back over a slot: the second one costs nothing.
		if err := b.command("xz", "-T1", "-k", "-f", "--check=crc32", "--lzma2=preset=2,dict=128MiB", b.image()).Run(); err != nil {
			return fmt.Errorf("xz: %w", err)
		}
		b.say("compressed")
	}
	return nil
}

// build is one image being made.
type build struct {
	kind
	board, version string
	out            string // what is kept
	dir            string // what is not
	root           string // of dunlin's sources
	epoch          string // seconds since 1970 that everything is dated with
	begin          time.Time
	key            update.SecretKey
	trusted        string // public keys
	contents       []byte // of the slot
	manifest       *slots.Manifest
}

func newBuild(board string, k kind, out string) (*build, error) {
	b := &build{kind: k, board: board, begin: time.Now(), version: os.Getenv("VERSION"), epoch: os.Getenv("SOURCE_DATE_EPOCH")}
	if b.version == "" {
		b.version = "0.1.0-dev"
	}
	var err error
	if b.root, err = filepath.Abs("../.."); err != nil {
		return nil, err
	}
	if b.out, err = filepath.Abs(out); err != nil {
		return nil, err
	}
	if b.epoch == "" {
		text, err := exec.Command("git", "log", "-1", "--format=%ct").Output()
		if err != nil {
			return nil, fmt.Errorf("the commit's date: %w; or set SOURCE_DATE_EPOCH", err)
		}
		b.epoch = strings.TrimSpace(string(text))
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return nil, err
	}
	b.dir, err = os.MkdirTemp("", "image")
	return b, err
}

// command is a program that runs with what makes its output reproducible.
func (b *build) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin", "LC_ALL=C", "TZ=UTC", "VERSION="+b.version,
		"SOURCE_DATE_EPOCH="+b.epoch, "E2FSPROGS_FAKE_TIME="+b.epoch, "MTOOLS_SKIP_CHECK=1", "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd
}

func (b *build) say(what string) {
	fmt.Printf("%5.1f s  %s\n", time.Since(b.begin).Seconds(), what)
}

// temporary is a file that the build itself needs.
func (b *build) temporary(name string) string { return filepath.Join(b.dir, name) }

// product is a file that is kept.
func (b *build) product(suffix string) string {
	return filepath.Join(b.out, "dunlin-"+b.version+"-"+b.board+suffix)
}

func (b *build) image() string { return b.product(".img") }
