package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker"
)

// letsIn reports whether a users file lets a user in with a password.
func letsIn(t *testing.T, file, user, password string) bool {
	t.Helper()
	a, err := broker.NewAuth(broker.AuthOptions{UsersFile: file})
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Authenticate(t.Context(), &broker.Connect{Username: user, HasUsername: true, Password: []byte(password), HasPassword: true})
	return err == nil
}

func TestPasswd(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	run := func(stdin string, args ...string) result {
		t.Helper()
		r := dunlin(t, stdin, append([]string{"passwd"}, args...)...)
		if r.code != exitDone {
			t.Fatalf("passwd %q: code %d, %s", args, r.code, r.err)
		}
		if info, err := os.Stat(users); err != nil || info.Mode() != 0o600 {
			t.Fatalf("passwd %q: %v %v", args, info.Mode(), err)
		}
		return r
	}
	run("", "-b", users, "ann", "secret")
	run("other\n", "--stdin", "--calibrate", "1ms", users, "bob")
	run("", "-b", "--scram", users, "eve", "pencil")
	token := strings.TrimSpace(run("", "--token", users, "esp").out)
	for _, c := range []struct {
		user, password string
		want           bool
	}{{"ann", "secret", true}, {"ann", "other", false}, {"bob", "other", true}, {"eve", "pencil", true}, {"esp", token, true}, {"esp", token[1:], false}} {
		if got := letsIn(t, users, c.user, c.password); got != c.want {
			t.Errorf("%s with %q: %v", c.user, c.password, got)
		}
	}
	before, err := os.ReadFile(users)
	if err != nil || strings.Count(string(before), "eve:$scram-sha-") != 2 || strings.Contains(string(before), token) {
		t.Fatalf("%v\n%s", err, before)
	}
	run("", "-b", users, "eve", "pencil2") // and its verifiers with it
	after, err := os.ReadFile(users)
	if err != nil || strings.Count(string(after), "eve:$scram-sha-") != 2 || strings.Count(string(after), "\n") != strings.Count(string(before), "\n") {
		t.Fatalf("%v\n%s", err, after)
	}
	for line := range strings.Lines(string(before)) {
		if strings.HasPrefix(line, "eve:") && strings.Contains(string(after), line) {
			t.Errorf("still there: %s", line)
		}
	}
	if r := dunlin(t, "", "passwd", "--list", users); r.code != exitDone || !strings.Contains("\n"+r.out, "\nann\n") || !strings.Contains("\n"+r.out, "\neve\n") || strings.Count(r.out, "eve\n") != 1 {
		t.Errorf("--list: %+v", r)
	}
	run("", "-D", users, "ann")
	if letsIn(t, users, "ann", "secret") || !letsIn(t, users, "eve", "pencil2") {
		t.Error("after -D")
	}
	run("", "-c", "-b", users, "new", "secret")
	if letsIn(t, users, "eve", "pencil2") || !letsIn(t, users, "new", "secret") {
		t.Error("after -c")
	}
}

func TestPasswdRefuses(t *testing.T) {
	dir := t.TempDir()
	users, link, locked := filepath.Join(dir, "users"), filepath.Join(dir, "link"), filepath.Join(dir, "locked")
	if err := os.WriteFile(users, []byte("ann:plain\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(users, link); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(locked+".new", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ stdin, args, msg string }{
		{"", "-D " + users + " nobody", "has no user \"nobody\"\n"},
		{"", "-D " + users + " anm", "did you mean ann?"},
		{"", "--list " + users + ".none", "no such file"},
		{"", "-U " + users + ".none", "no such file"},
		{"", "-D " + users + ".none nobody", "no such file"},
		{"", "-b " + users + " a:b secret", "cannot be a user name"},
		{"", "-b " + users + " anonymous secret", "cannot be a user name"},
		{"\n", "--stdin " + users + " ann", "is empty"},
		{"a\nb\n", "--stdin " + users + " ann", "more than one line"},
		{"", users + " ann", "no terminal"},
		{"", "-b " + link + " ann secret", "not a regular file"},
		{"", "-b " + locked + " ann secret", "another change"},
		{"", "-b --scram " + users + " ann w\u00f6rd", "ASCII"},
		{"", "-b " + users + " ann dt1_x", "dt1_"},
	} {
		r := dunlin(t, c.stdin, append([]string{"passwd"}, strings.Fields(c.args)...)...)
		if r.code != exitFailed || !strings.Contains(r.err, c.msg) {
			t.Errorf("%s: code %d, %s", c.args, r.code, r.err)
		}
	}
	if b, err := os.ReadFile(users); err != nil || string(b) != "ann:plain\n" {
		t.Errorf("%v %q", err, b)
	}
	if _, err := os.Stat(users + ".new"); err == nil {
		t.Error("users.new was left")
	}
	r := dunlin(t, "", "passwd", "-U", users)
	if r.code != exitDone || !strings.Contains(r.err, "passwords hashed: 1") || !letsIn(t, users, "ann", "plain") {
		t.Errorf("-U: code %d, %s", r.code, r.err)
	}
	if r := dunlin(t, "", "passwd", "-U", users); !strings.Contains(r.err, "passwords hashed: 0") || !letsIn(t, users, "ann", "plain") {
		t.Errorf("-U twice: %s", r.err)
	}
}

// Both directions: a file of mosquitto_passwd lets in here, and mosquitto
// lets in whom ours names.
func TestPasswdAndMosquitto(t *testing.T) {
	tool, err := exec.LookPath("mosquitto_passwd")
	if err != nil {
		t.Skip("mosquitto_passwd is not installed")
	}
	dir := t.TempDir()
	users := filepath.Join(dir, "users")
	for _, args := range [][]string{{"-c", "-b", users, "ann", "secret one"}, {"-H", "sha512", "-b", users, "bob", "secret two"}} {
		if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
	}
	if err := os.Chmod(users, 0o600); err != nil {
		t.Fatal(err)
	}
	if !letsIn(t, users, "ann", "secret one") || !letsIn(t, users, "bob", "secret two") || letsIn(t, users, "bob", "secret one") {
		t.Error("a file of mosquitto_passwd")
	}
	if r := dunlin(t, "", "passwd", "--format", "mosquitto", "-b", users, "eve", "secret three"); r.code != exitDone {
		t.Fatal(r.err)
	}
	// mosquitto_passwd reads what is there before it changes a line.
	if out, err := exec.Command(tool, "-D", users, "ann").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if err := os.Chmod(users, 0o600); err != nil {
		t.Fatal(err)
	}
	if !letsIn(t, users, "eve", "secret three") || letsIn(t, users, "ann", "secret one") {
		t.Error("after mosquitto_passwd -D")
	}
}
