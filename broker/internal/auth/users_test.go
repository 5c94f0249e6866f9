package auth

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// cheap is a cost that tests can pay.
var cheap = Cost{Memory: 64, Passes: 1}

// hashed returns what a users file keeps of a password.
func hashed(t testing.TB, password string) string {
	t.Helper()
	h, err := HashPassword([]byte(password), cheap)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// file writes a file that passes for a secret one.
func file(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Lines made by mosquitto_passwd 2.0.11: of "pa:ss w\u00f6rd" by default, of
// "secret" with -H sha512.
const (
	fromMosquitto7 = "$7$101$T4mTpFoFwy+u17nd$FnXZehOyA5cFLTeCchJP5Fm0/tbPSCoBGJbYHDae3/sMBVjwm2fWGLVtyAqoTiaKu5suUakK54TBlJ9RLVz3TQ=="
	fromMosquitto6 = "$6$57mxbFnsuZ6waHBo$rM6YTGb0ZSo7WMICnaZ2XM2oqnefJdRWDqRMzY4QptN5Bza+z8seUgV2HI66f2isvHiquSkaL1oJKIc9QHCSig=="
)

func TestUsersFile(t *testing.T) {
	h := hashed(t, "secret")
	for _, c := range []struct {
		name, text string
		line       int
		says       string
	}{
		{"case 60: missing colon", "ann:" + h + "\nbob\n", 2, "no colon"},
		{"case 60: empty hash", "ann:\n", 1, `user "ann" has no hash`},
		{"case 60: empty user", ":" + h + "\n", 1, "no user name"},
		{"case 60: a line of 1 MB", "# x\nann:" + strings.Repeat("a", 1<<20) + "\n", 2, "longer than 1024 bytes"},
		{"case 60: BOM", "\ufeffann:" + h + "\n", 1, "byte order mark"},
		{"case 60: CRLF", "ann:" + h + "\r\n", 1, "carriage return"},
		{"case 60: duplicate", "ann:" + h + "\nann:" + h + "\n", 2, "second password"},
		{"half-written", "ann:" + h + "\nbob:$7$101$", 2, "$7$ITERATIONS$SALT$HASH"},
		{"cut inside the hash", "ann:" + h[:len(h)-30], 1, "cut short"},
		{"zero bytes", "ann:" + h + "\n\x00\x00", 2, "zero byte"},
		{"plain password", "ann:secret\n", 1, "plain password"},
		{"unknown kind", "ann:$1$abc$def\n", 1, "unknown kind"},
		{"control characters", "a\x01nn:" + h + "\n", 1, "control characters"},
		{"reserved", "anonymous:" + h + "\n", 1, "reserved"},
		{"name too long", strings.Repeat("a", 257) + ":" + h + "\n", 1, "longer than 256"},
		{"blanks", "ann :" + h + "\n", 1, "blanks"},
		{"case 67: argon2id memory", "ann:$argon2id$v=19$m=4194304,t=100,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA\n", 1, "argon2id m must be a number from 1 to 65536"},
		{"case 67: argon2id passes", "ann:$argon2id$v=19$m=65536,t=20,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA\n", 1, "m times t"},
		{"case 67: iterations", "ann:$7$2147483647$c2FsdHNhbHQ=$c2FsdA==\n", 1, "iterations must be a number from 1 to 500000"},
		{"iterations with a sign", "ann:$7$+5$c2FsdHNhbHQ=$c2FsdA==\n", 1, "iterations must be"},
		{"SCRAM iterations", "ann:$scram-sha-256$1:c2FsdHNhbHQ=$a:b\n", 1, "from 4096"},
		{"token cut short", "ann:$dunlin1$abcd\n", 1, "32 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := parseUsers("users", []byte(c.text), maxMemory)
			var f Faults
			if u != nil || !errors.As(err, &f) {
				t.Fatalf("accepted: %v", err)
			}
			if f[0].Line != c.line || !strings.Contains(f[0].Msg, c.says) || strings.Contains(err.Error(), h[20:]) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestUsersFileAccepts(t *testing.T) {
	verifiers, err := SCRAMVerifiers([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	_, tok := NewToken()
	m, err := HashForMosquitto([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if u, err := parseUsers("users", []byte("ann:"+fromMosquitto7+"\nbob:"+fromMosquitto6+"\n"), maxMemory); err != nil ||
		!u.byName["ann"].password.verify([]byte("pa:ss w\u00f6rd")) || !u.byName["bob"].password.verify([]byte("secret")) {
		t.Error("mosquitto's own lines:", err)
	}
	text := "# people\n\nann:" + hashed(t, "secret") + "\nann:" + verifiers[0] + "\nann:" + verifiers[1] + "\nann:" + tok + "\nbob:" + m + "\nBo b$:" + m
	u, err := parseUsers("users", []byte(text), maxMemory)
	if err != nil {
		t.Fatal(err)
	}
	if len(u.byName) != 3 || len(u.dummies) != 3 || !u.byName["ann"].password.verify([]byte("secret")) || !u.byName["Bo b$"].password.verify([]byte("secret")) ||
		u.byName["bob"].password.verify([]byte("secret2")) || u.dummies[0].verify([]byte("secret")) {
		t.Errorf("%+v", u)
	}
}

// A file that others may change or choose is refused, with the cure.
func TestReadFileRefusesWhatOthersMayChange(t *testing.T) {
	good := file(t, "x")
	if _, err := readFile(good, 10, true, false); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	link, fifo := filepath.Join(dir, "link"), filepath.Join(dir, "fifo")
	if err := errors.Join(os.Symlink(good, link), makeFIFO(fifo)); err != nil {
		t.Fatal(err)
	}
	open := file(t, "x")
	public := file(t, "x")
	if err := errors.Join(os.Chmod(open, 0o640), os.Chmod(public, 0o666)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path   string
		most   int64
		secret bool
		says   string
	}{
		{open, 10, true, "others may read or change it (mode 0640)"},
		{public, 10, false, "others may change it (mode 0666)"},
		{link, 10, true, "cannot open it"},
		{fifo, 10, true, "not a regular file"},
		{dir, 10, true, "not a regular file"},
		{filepath.Join(dir, "none"), 10, true, "no such file"},
		{good, 0, true, "larger than"},
	} {
		_, err := readFile(c.path, c.most, c.secret, false)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %s", c.path, err, c.says)
		}
	}
	if _, err := readFile(open, 10, false, false); err != nil {
		t.Error(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(good, 12345, -1); err != nil {
			t.Fatal(err)
		}
		if _, err := readFile(good, 10, true, false); err == nil || !strings.Contains(err.Error(), "uid 12345") {
			t.Error(err)
		}
		if _, err := readFile(good, 10, true, true); err != nil {
			t.Error(err)
		}
	}
}

func TestUsersTextKeepsCommentsAndOrder(t *testing.T) {
	u, err := ParseUsersText("users", []byte("# top\nann:$7$1\n\n# bob's\nbob:plain\nann:$dunlin1$x\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"", "a:b", "anonymous", " a", "#a", "a\n"} {
		if u.Set(user, "$6$x") == nil {
			t.Errorf("%q was accepted", user)
		}
	}
	if err := errors.Join(u.Set("ann", "$argon2id$1", "$scram-sha-256$2"), u.Set("eve", "$6$3")); err != nil {
		t.Fatal(err)
	}
	want := "# top\nann:$argon2id$1\n\n# bob's\nbob:plain\nann:$dunlin1$x\nann:$scram-sha-256$2\neve:$6$3\n"
	if got := string(u.Bytes()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if !u.HasSCRAM("ann") || u.HasSCRAM("bob") || !u.Delete("ann") || u.Delete("ann") {
		t.Error("SCRAM or Delete")
	}
	u.Delete("eve")
	if err := u.Set("old", "$7$hash"); err != nil {
		t.Fatal(err)
	}
	n, err := u.HashAll(func(p []byte) (string, error) { return "$6$" + string(p), nil })
	if got := string(u.Bytes()); n != 1 || err != nil || got != "# top\n\n# bob's\nbob:$6$plain\nold:$7$hash\n" {
		t.Errorf("%d %v\n%s", n, err, got)
	}
}

func FuzzUsersFile(f *testing.F) {
	verifiers, _ := SCRAMVerifiers([]byte("x"))
	_, tok := NewToken()
	f.Add([]byte("# c\nann:" + hashed(f, "x") + "\nann:" + verifiers[0] + "\nbob:" + tok + "\n"))
	f.Add([]byte("a:" + fromMosquitto6 + "\nb:$7$101$c2FsdHNhbHRzYWx0$\r\n\ufeff:"))
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := parseUsers("users", b, maxMemory)
		if (u == nil) == (err == nil) {
			t.Fatal("neither users nor an error, or both")
		}
		if text, err := ParseUsersText("users", b); err == nil && u != nil {
			again, err := parseUsers("users", text.Bytes(), maxMemory)
			if err != nil || len(again.byName) != len(u.byName) {
				t.Fatalf("changed by reading it for changing: %v", err)
			}
		}
		if u == nil {
			return
		}
		for name, one := range u.byName {
			if validUser(name) != nil || one.password == nil && one.token == nil && len(one.scram) == 0 {
				t.Fatalf("user %q is none", name)
			}
		}
	})
}
