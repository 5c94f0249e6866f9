package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	image := flag.String("guest", "", "folder of a machine: what scripts/guest.sh prints")
	flag.Parse()
	if *image == "" || flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: deb -guest DIR PACKAGE.deb")
		os.Exit(2)
	}
	w := &world{begin: time.Now()}
	if err := w.run(*image, flag.Arg(0)); err != nil {
		w.check("the machine can be worked with", false, err.Error())
	}
	fmt.Printf("deb: %d passed, %d failed, %.0f s\n", w.passed, w.failed, time.Since(w.begin).Seconds())
	if w.failed > 0 {
		os.Exit(1)
	}
}

// world is the machine and what is found out about it.
type world struct {
	g              *guest
	begin          time.Time
	passed, failed int
	version        string // of the package under test
}

func (w *world) run(image, deb string) error {
	dir, err := os.MkdirTemp("", "deb")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if w.version, err = packPackages(dir, deb); err != nil {
		return err
	}
	if w.g, err = boot(dir, image, filepath.Join(dir, "packages.tar")); err != nil {
		console, _ := os.ReadFile(filepath.Join(dir, "console.log")) // better than nothing
		return fmt.Errorf("%w\n%s", err, console)
	}
	defer w.g.kill()
	w.check("the machine has started", true, "")
	w.must("tar -xf /dev/vdb -C /root")
	w.newMachine()
	w.must("rm -rf /usr/bin/dunlin /etc/dunlin /var/lib/dunlin; userdel dunlin")
	w.installed()
	w.upgraded()
	w.troubled()
	w.removed()
	if w.failed > 0 {
		fmt.Println("--- the journal of dunlin:\n" + w.say("journalctl --no-pager -o cat -u dunlin | tail -n 60"))
	}
	return nil
}

func (w *world) check(what string, ok bool, detail string) bool {
	state := "ok    "
	if ok {
		w.passed++
	} else {
		w.failed++
		state, what = "FAILED", what+": "+detail
	}
	fmt.Printf("%s %5.1f s  %s\n", state, time.Since(w.begin).Seconds(), what)
	return ok
}

// sh runs a command on the machine.
func (w *world) sh(command string) (output string, code int) {
	output, code, err := w.g.run(command)
	if err != nil {
		return err.Error(), -1
	}
	return output, code
}

// say returns what a command on the machine says, whatever its exit code.
func (w *world) say(command string) string {
	output, _ := w.sh(command)
	return output
}

// must runs a command that has to succeed for the rest to make sense.
func (w *world) must(command string) string {
	output, code := w.sh(command)
	if code != 0 {
		w.check(command, false, fmt.Sprintf("exit code %d: %s", code, output))
	}
	return output
}

// is checks what a command on the machine says.
func (w *world) is(what, command, want string) {
	got := w.say(command)
	w.check(what, got == want, fmt.Sprintf("%s says %q, not %q", command, got, want))
}

// becomes waits up to a minute for a command on the machine to succeed.
func (w *world) becomes(what, command string) {
	output, code := w.sh("for i in $(seq 120); do " + command + " && exit; sleep 0.5; done; " + command)
	w.check(what, code == 0, fmt.Sprintf("%s: exit code %d: %s", command, code, output))
}

// pid is the process of the service.
func (w *world) pid() string { return w.say("systemctl show -p MainPID --value dunlin") }

// after returns the rest of the first line of text that starts with a word.
func after(text, word string) string {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, word); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}
