package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/scan"
	"github.com/dunlin-mqtt/dunlin/config"
)

const initHelp = `Usage: dunlin init [--dir DIR] [--user NAME] [--bridge VENDOR|HOST] [--no-scan]
                   [--dry-run] [--force]

Writes a configuration for this machine, with the sensors that it finds as
'dunlin scan' does, and a users file with one user, whose random password it
shows once. It asks nothing and overwrites nothing; --force keeps a dated copy
of what was there.

With a HOST the values of this gateway go there; with a VENDOR (%s)
the configuration has a bridge for its servers to fill in, behind #.

Examples:
  sudo dunlin init
  dunlin init --dir . --dry-run
  sudo dunlin init --bridge aws
  sudo dunlin init --bridge broker.example.com
`

// initial is the configuration that init writes.
const initial = `# Check it with 'dunlin check', apply it with 'dunlin reload'.
# 'dunlin config reference' explains every key.

mqtt:
  listeners:
    - bind: ":1883"                # every address of this machine
%[1]s
auth:
  users_file: users                # 'dunlin passwd %[2]s/users NAME' adds one
  admins: [%[3]s]
  rules:                           # the first match wins; no match is refused
    - {user: "*", publish: ["#"], subscribe: ["#"]}

http: {bind: ":8083", metrics: token} # the page, for the users above
%[4]s
devices:
  - {name: host, driver: system, interval: 60s}
`

const initialSocket = `    - bind: "unix:` + serviceMQTT + `" # root and the group dunlin, without a password
`

// setup is one run of init.
type setup struct {
	s                     streams
	dir, user, bridge     string
	noScan, dry, force    bool
	scan                  scanFlags
	found                 []string // sensors and ports
	devices, unknown      int      // of them in the configuration, and behind #
	file, users, password string
}

func runInit(ctx context.Context, args []string, s streams) int {
	fs := flags.New("init")
	i := &setup{s: s, scan: scanFlags{root: "/"}}
	fs.StringVar(&i.dir, "dir", "/etc/dunlin", "`directory` of the configuration")
	fs.StringVar(&i.user, "user", "admin", "`name` of the first user")
	fs.StringVar(&i.bridge, "bridge", "", "`vendor` of a server, or its host, that gets this gateway's values")
	fs.BoolVar(&i.noScan, "no-scan", false, "do not look for sensors")
	fs.BoolVar(&i.dry, "dry-run", false, "show the configuration and write nothing")
	fs.BoolVar(&i.force, "force", false, "replace what is there, and keep a dated copy")
	if code, done := parseFlags(fs, args, s, func(w io.Writer) {
		printHelp(w, fmt.Sprintf(initHelp, strings.Join(vendorNames(), ", ")), fs)
	}); done {
		return code
	}
	if fs.NArg() > 0 {
		return usageError(s, "init", "takes no arguments")
	}
	bridge, known := initialBridge(i.bridge)
	if !known {
		return usageError(s, "init", fmt.Sprintf("--bridge %q: no vendor, and no host, which has a dot%s", i.bridge, didYouMean(i.bridge, vendorNames(), "")))
	}
	text := i.text(ctx) + bridge
	var err error
	if i.dry {
		_, err = io.WriteString(s.out, text)
	} else {
		err = i.initialize(text)
	}
	if err != nil {
		fmt.Fprintln(s.err, "dunlin init:", err)
		return exitFailed
	}
	return exitDone
}

// asService says that the configuration will be the service's.
func (i *setup) asService() bool { return i.dir == "/etc/dunlin" && hasSystemd("/") }

// text is the configuration up to its bridges.
func (i *setup) text(ctx context.Context) string {
	socket, buses, devices, unknown := "", "", "", ""
	if i.asService() {
		socket = initialSocket
	}
	if !i.noScan {
		if r, err := i.scan.look(ctx, config.Default(tables()), scan.Line{}); err != nil {
			fmt.Fprintf(i.s.err, "dunlin init: sensors are not looked for: %v\n", err)
		} else {
			buses, devices, unknown = r.Entries(map[string]bool{"host": true})
			i.found = r.Names()
		}
	}
	if buses != "" {
		buses = "\nbuses:\n" + buses
	}
	i.devices, i.unknown = strings.Count(devices, "\n"), strings.Count(unknown, "\n")
	return fmt.Sprintf(initial, socket, i.dir, i.user, buses) + devices + unknown
}

func (i *setup) initialize(text string) error {
	if err := os.MkdirAll(i.dir, 0o755); err != nil {
		return withSudo(err)
	}
	i.file, i.users = filepath.Join(i.dir, "dunlin.yaml"), filepath.Join(i.dir, "users")
	for _, name := range []string{i.file, i.users} {
		if err := makeWay(name, i.force); err != nil {
			return withSudo(err)
		}
	}
	if err := i.writeUser(); err != nil {
		return withSudo(err)
	}
	if err := os.WriteFile(i.file, []byte(text), 0o600); err != nil {
		return withSudo(err)
	}
	if strings.Contains(text, cloudPassword) {
		secret := filepath.Join(i.dir, cloudPassword)
		if err := makeSecret(secret); err != nil {
			return err
		}
		fmt.Fprintf(i.s.out, "Wrote     %s         ← put what the other server wants there\n", secret)
	}
	r := checkFile(i.file)
	if !r.Valid {
		if err := r.errors.Print(i.s.err); err != nil {
			return err
		}
		return errors.New(r.errors.Summary(i.file))
	}
	i.say(&r)
	return nil
}

// writeUser makes the users file.
func (i *setup) writeUser() error {
	i.password = newPassword()
	hash, err := broker.HashPassword([]byte(i.password), broker.DefaultHashCost(2*memoryThereIs("/")))
	if err != nil {
		return err
	}
	u := new(broker.UsersText)
	if err := u.Set(i.user, hash); err != nil {
		return err
	}
	return os.WriteFile(i.users, u.Bytes(), 0o600)
}

// makeSecret makes a file for a password, if there is none.
func makeSecret(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		_, err = f.WriteString("put the password here\n")
		err = errors.Join(err, f.Close())
	}
	return err
}

// say tells what was done, and what comes next.
func (i *setup) say(r *checkReport) {
	next := "dunlin run -c " + i.file
	if i.dir == "/etc/dunlin" {
		next = asRoot("dunlin service install")
	}
	then := fmt.Sprintf("dunlin sub -u %s -P '%s' -v -t '#'", i.user, i.password)
	if i.asService() {
		then = asRoot("dunlin sub -v -t '#'")
	}
	if len(i.found) > 0 {
		fmt.Fprintf(i.s.out, "Found     %s\n", strings.Join(i.found, ", "))
	}
	fmt.Fprintf(i.s.out, "Wrote     %s   (of what was found %d on, %d behind #: they need a word more)\n", i.file, i.devices, i.unknown)
	fmt.Fprintf(i.s.out, "Wrote     %-*s   user %s, password  %s   ← shown once\nChecked   OK\n", len(i.file), i.users, i.user, i.password)
	if i.bridge != "" {
		fmt.Fprintf(i.s.out, "Bridge    is at the end of %s; 'dunlin bridge test cloud' tries it\n", i.file)
	}
	fmt.Fprintf(i.s.out, "Next      %s\nThen      %s\nPage      http://%s:8083, as %s\n", next, then, r.Node, i.user)
}

// asRoot is a command for whoever typed this one: with sudo, unless it is root
// itself, who may have none.
func asRoot(command string) string {
	if os.Geteuid() == 0 && os.Getenv("SUDO_USER") == "" {
		return command
	}
	return "sudo " + command
}

// makeWay sees to it that name is not there: it is an error, or, with force or
// as a package installed it, gets another name.
func makeWay(name string, force bool) error {
	_, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !force && !packaged(name):
		return fmt.Errorf("%s is there already: --force keeps a copy of it and writes a new one", name)
	}
	return os.Rename(name, name+"."+time.Now().Format("20060102-150405"))
}

// packaged says that a file is build/package/dunlin.yaml, in which nobody has
// written anything yet.
func packaged(name string) bool {
	const shipped = "09430e81404a20d03e1267a95bce5baaf8271d45a03a60b2a25073c8da692275"
	text, _ := os.ReadFile(name) // one that cannot be read is no such file
	return fmt.Sprintf("%x", sha256.Sum256(text)) == shipped
}

func withSudo(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: run it with sudo, or choose another --dir", err)
	}
	return err
}

// newPassword makes 80 random bits that can be read out: four groups of four
// letters and digits.
func newPassword() string {
	const letters = "abcdefghjkmnpqrstuvwxyz123456789" // 32, none that looks like another
	var b [16]byte
	rand.Read(b[:]) // never fails
	text := ""
	for i, c := range b {
		if i > 0 && i%4 == 0 {
			text += "-"
		}
		text += letters[c%32 : c%32+1]
	}
	return text
}
