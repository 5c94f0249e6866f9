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
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
)

const initHelp = `Usage: dunlin init [--dir DIR] [--user NAME] [--bridge HOST] [--dry-run] [--force]

Writes a configuration for this machine and a users file with one user, whose
random password it shows once. It asks nothing and overwrites nothing; --force
keeps a dated copy of what was there.

Examples:
  sudo dunlin init
  dunlin init --dir . --dry-run
  sudo dunlin init --bridge broker.example.com
`

// initial is the configuration that init writes.
const initial = `# Check it with 'dunlin check', apply it with 'dunlin reload'.
# 'dunlin config reference' explains every key.

mqtt:
  listeners:
    - bind: ":1883"                # every address of this machine

auth:
  users_file: users                # 'dunlin passwd %[1]s/users NAME' adds one
  admins: [%[2]s]
  rules:                           # the first match wins; no match is refused
    - {user: "*", publish: ["#"], subscribe: ["#"]}

http: {bind: ":8083", metrics: token} # the page, for the users above

devices:
  - {name: host, driver: system, interval: 60s}
`

const initialBridge = `
bridges:
  cloud:
    servers: ["mqtts://%s"]
    credentials: {username: "{node}", password: "file:cloud-password"}
    out:
      - {from: "dunlin/{node}/#"}
`

func runInit(_ context.Context, args []string, s streams) int {
	fs := flags.New("init")
	dir := fs.String("dir", "/etc/dunlin", "`directory` of the configuration")
	user := fs.String("user", "admin", "`name` of the first user")
	bridge := fs.String("bridge", "", "`host` of a server that gets this gateway's values")
	dry := fs.Bool("dry-run", false, "show the configuration and write nothing")
	force := fs.Bool("force", false, "replace what is there, and keep a dated copy")
	if code, done := parseFlags(fs, args, s, func(w io.Writer) { printHelp(w, initHelp, fs) }); done {
		return code
	}
	if fs.NArg() > 0 {
		return usageError(s, "init", "takes no arguments")
	}
	text := fmt.Sprintf(initial, *dir, *user)
	if *bridge != "" {
		text += fmt.Sprintf(initialBridge, *bridge)
	}
	if *dry {
		fmt.Fprint(s.out, text)
		return exitDone
	}
	if err := initialize(s, *dir, *user, text, *force, *bridge != ""); err != nil {
		fmt.Fprintln(s.err, "dunlin init:", err)
		return exitFailed
	}
	return exitDone
}

func initialize(s streams, dir, user, text string, force, bridge bool) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return withSudo(err)
	}
	file, users := filepath.Join(dir, "dunlin.yaml"), filepath.Join(dir, "users")
	for _, name := range []string{file, users} {
		if err := makeWay(name, force); err != nil {
			return withSudo(err)
		}
	}
	password := newPassword()
	hash, err := broker.HashPassword([]byte(password), broker.DefaultHashCost(2*memoryThereIs("/")))
	if err != nil {
		return err
	}
	u := new(broker.UsersText)
	if err := u.Set(user, hash); err != nil {
		return err
	}
	if err := os.WriteFile(users, u.Bytes(), 0o600); err != nil {
		return withSudo(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return withSudo(err)
	}
	if bridge {
		secret := filepath.Join(dir, "cloud-password")
		if err := os.WriteFile(secret, []byte("put the password here\n"), 0o600); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "Wrote     %s         ← put the password of the other server there\n", secret)
	}
	fmt.Fprintf(s.out, "Wrote     %s\nWrote     %s         user %s, password  %s   ← shown once\n", file, users, user, password)
	r := checkFile(file)
	if !r.Valid {
		if err := r.errors.Print(s.err); err != nil {
			return err
		}
		return errors.New(r.errors.Summary(file))
	}
	next := "dunlin run -c " + file
	if dir == "/etc/dunlin" {
		next = asRoot("dunlin service install")
	}
	fmt.Fprintf(s.out, "Checked   OK\nNext      %s\nThen      dunlin sub -u %s -P '%s' -v -t '#'\nPage      http://%s:8083, as %s\n", next, user, password, r.Node, user)
	return nil
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
