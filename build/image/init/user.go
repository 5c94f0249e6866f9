package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dunlin-mqtt/dunlin/build/image/slots"
)

// The user's files on the drive DUNLIN, and how long they may be, in bytes.
const (
	configFile   = "dunlin.yaml"
	includeDir   = "conf.d"
	passwordFile = "password.txt"
	madeUpFile   = "dunlin-password.txt"
	hostnameFile = "hostname.txt"
	networkFile  = "network.txt"
	wifiFile     = "wifi.txt"
	fileLimit    = 256 << 10
	filesLimit   = 32
)

// defaultConfig is dunlin's configuration without a user's: open to the
// network, and only for users with a password.
const defaultConfig = `# What the image starts with. Another dunlin.yaml on the drive DUNLIN replaces it.
mqtt:
  listeners:
    - bind: ":1883"
auth:
  users_file: users
  admins: [admin]
  rules:
    - {user: "*", publish: ["#"], subscribe: ["#"]}
http: {bind: ":8083"}
devices:
  - {name: host, driver: system, interval: 60s}
`

// takeUsersFiles takes over what the user put on the card, and sees to it
// that there is a configuration and a user with a password.
func (b *board) takeUsersFiles(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, 2*time.Minute) // a slow card's first start
	defer stop()
	mendSwap(etcDir)
	err := b.onCard(func(dir string) error {
		for _, step := range []struct {
			what string
			do   func(context.Context, string) error
		}{
			{hostnameFile, b.takeHostname}, {networkFile, b.takeNetwork}, {passwordFile, b.takePassword},
			{"password", b.makeUpPassword}, // before the configuration, which may name the users
			{configFile, b.takeConfig},
		} {
			b.news(step.what, "") // of an attempt on a /data that could not be used
			if err := step.do(ctx, dir); err != nil {
				b.note(step.what, err.Error())
			}
		}
		for name, right := range misnamed(dir) {
			b.note(name, "is not read: its name must be "+right)
		}
		return b.writeReports(dir)
	})
	switch {
	case errors.Is(err, unix.EROFS): // what is there was read, and /data says the rest
		b.logf("the user's files: %v", err)
	case err != nil && b.disk != "":
		b.note("card", fmt.Sprintf("The drive %s cannot be used (%v): files on it are not read, and without it the board may not start again. Flash the card again, or take another one.", slots.Selector.Label, err))
	}
	name := filepath.Join(etcDir, configFile)
	if _, err := os.Stat(name); err != nil {
		if err := replaceFile(name, []byte(defaultConfig), 0o600, gatewayUser); err != nil {
			b.logf("%v", err)
		}
	}
	if b.volatile.Load() {
		if err := withoutUsers(filepath.Join(etcDir, "users"), gatewayUser); err != nil {
			b.logf("%v", err)
		}
	}
}

// withoutUsers is for a card of which nothing could be read, and that no
// password can be written to: nobody gets in, but devices and bridges go on,
// which without the file would not start.
func withoutUsers(name string, owner int) error {
	if _, err := os.Stat(name); err == nil {
		return nil
	}
	return replaceFile(name, nil, 0o600, owner)
}

// misnamed are files that somebody meant for init, and what they should be
// called: computers that hide endings add one, or leave it out.
func misnamed(dir string) map[string]string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // every file of its own says so
	}
	found := map[string]string{}
	for _, e := range entries {
		name := strings.ToLower(e.Name())
		for _, right := range []string{configFile, passwordFile, hostnameFile, networkFile, wifiFile} {
			if name == right+".txt" || name == strings.TrimSuffix(right, filepath.Ext(right)) || name == "dunlin.yml" && right == configFile {
				found[e.Name()] = right
			}
		}
	}
	return found
}

// note is report for who is writing to the card already.
func (b *board) note(part, text string) {
	b.logf("%s: %s", part, text)
	b.news(part, text)
}

var hostname = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (b *board) takeHostname(_ context.Context, dir string) error {
	text, err := readSmall(filepath.Join(dir, hostnameFile), 256)
	if err != nil || text == nil {
		return err
	}
	name := strings.ToLower(strings.TrimSpace(string(text)))
	if name != "" && !hostname.MatchString(name) {
		return fmt.Errorf("%q is no host name: letters, digits and hyphens, at most 63", name)
	}
	return replaceIfOther(filepath.Join(keptDir, "hostname"), []byte(name), 0o600, 0)
}

// takeNetwork keeps network.txt and wifi.txt where package network reads them.
func (b *board) takeNetwork(_ context.Context, dir string) (failed error) {
	for _, name := range []string{networkFile, wifiFile} {
		text, err := readSmall(filepath.Join(dir, name), 16<<10)
		if err == nil && text != nil {
			err = replaceIfOther(filepath.Join(keptDir, name), text, 0o600, 0)
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

func replaceIfOther(name string, content []byte, mode os.FileMode, owner int) error {
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, content) {
		return nil
	}
	return replaceFile(name, content, mode, owner)
}

// takePassword makes a user of password.txt and erases the file, also when
// it is wrong: a password is not left lying about.
func (b *board) takePassword(ctx context.Context, dir string) error {
	name := filepath.Join(dir, passwordFile)
	text, err := readSmall(name, 4096)
	if err == nil && text == nil {
		return nil
	}
	var user, password string
	if err == nil {
		user, password, err = parsePassword(string(text))
	}
	if err == nil {
		err = setPassword(ctx, user, password)
	}
	if err == nil {
		b.logf("the password of %s is set", user)
		os.Remove(filepath.Join(dir, madeUpFile)) // it is not valid any more, or of another user: written down or not, it goes
	} else {
		err = fmt.Errorf("%w. No password is set, and the file is erased", err)
	}
	return errors.Join(err, erase(name))
}

// parsePassword reads PASSWORD or NAME:PASSWORD from a text of one line.
func parsePassword(text string) (user, password string, err error) {
	line := strings.TrimRight(text, "\r\n \t")
	if strings.ContainsAny(line, "\r\n\x00") {
		return "", "", errors.New("has more than one line: write PASSWORD or NAME:PASSWORD")
	}
	user, password, found := strings.Cut(line, ":")
	if !found {
		user, password = "admin", line
	}
	if user == "" || len(password) < 8 {
		return "", "", errors.New("wants a password of at least 8 characters: write PASSWORD or NAME:PASSWORD")
	}
	return user, password, nil
}

// makeUpPassword gives a machine that has no users one, and writes the
// password to the card, where only who holds it can read it.
func (b *board) makeUpPassword(ctx context.Context, dir string) error {
	if _, err := os.Stat(filepath.Join(etcDir, "users")); err == nil {
		return nil
	}
	password := newPassword()
	text := "user      admin\r\npassword  " + password + "\r\n\r\nKeep it somewhere else and delete this file. For another one put password.txt here.\r\n"
	if err := writeFile(filepath.Join(dir, madeUpFile), []byte(text), 0o600); err != nil {
		return err // without it the password would be lost
	}
	b.logf("a password is in %s on the card", madeUpFile)
	return setPassword(ctx, "admin", password)
}

// newPassword makes 80 random bits that can be read out: four groups of four
// letters and digits, none that looks like another.
func newPassword() string {
	const letters = "abcdefghjkmnpqrstuvwxyz123456789"
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

// setPassword lets dunlin hash a password into a copy of the users' file, and
// puts that in the old one's place.
func setPassword(ctx context.Context, user, password string) error {
	dir, err := os.MkdirTemp("/run", "users")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chown(dir, gatewayUser, gatewayUser); err != nil {
		return err
	}
	kept, copied := filepath.Join(etcDir, "users"), filepath.Join(dir, "users")
	if old, err := os.ReadFile(kept); err == nil {
		if err := replaceFile(copied, old, 0o600, gatewayUser); err != nil {
			return err
		}
	}
	cmd := asGateway(ctx, "passwd", "--stdin", copied, user)
	cmd.Stdin = strings.NewReader(password + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	users, err := os.ReadFile(copied)
	if err != nil {
		return err
	}
	return replaceFile(kept, users, 0o600, gatewayUser)
}

// asGateway is a run of dunlin with the rights that it has as a gateway.
func asGateway(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/usr/bin/dunlin", args...)
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/bin", "HOME=" + homeDir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: gatewayRights(), Setsid: true}
	return cmd
}
