package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"0": 0, "500ms": 500 * time.Millisecond, "30s": 30 * time.Second, "10m": 10 * time.Minute, "10min": 10 * time.Minute,
		"1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute, "7d": 168 * time.Hour, "2w": 336 * time.Hour, "250us": 250 * time.Microsecond,
	} {
		if d, err := parseDuration(s); d != want || err != nil {
			t.Errorf("%s = %v, %v", s, d, err)
		}
	}
	for _, s := range []string{"", "s", "30", "-5s", "1y", "5 s", "1e9s", "99999999w", "1s2", "10S"} {
		if d, err := parseDuration(s); err == nil {
			t.Errorf("%q was taken for %v", s, d)
		}
	}
}

func TestSizesAndRates(t *testing.T) {
	for s, want := range map[string]Size{"0": 0, "12B": 12, "1KiB": 1024, "1.5MiB": 3 << 19, "2GiB": 2 << 30} {
		if n, err := parseSize(s); n != want || err != nil {
			t.Errorf("%s = %d, %v", s, n, err)
		}
	}
	for _, s := range []string{"", "5", "5K", "5MB", "-1B", "KiB", "99999999999TiB"} {
		if n, err := parseSize(s); err == nil {
			t.Errorf("%q was taken for %d", s, n)
		}
	}
	if r, err := parseRate("120/min"); err != nil || r.PerSecond() != 2 {
		t.Error(r, err)
	}
	if r, err := parseByteRate("1GiB/day"); err != nil || r != (ByteRate{1 << 30, 24 * time.Hour}) {
		t.Error(r, err)
	}
	for _, s := range []string{"", "/s", "1", "1/", "1/x", "-1/s", "1.5/s"} {
		if r, err := parseRate(s); err == nil {
			t.Errorf("%q was taken for %v", s, r)
		}
	}
}

// What is suggested for a rate is one.
func TestRatesAreSuggested(t *testing.T) {
	for text, want := range map[string]string{
		"10MB": "10MiB/s", "10MiB": "10MiB/s", "1GB/day": "1GiB/day", "32k/s": "32KiB/s", "5kb/hour": "5KiB/s", "10": "", "MB/s": "", "-1KiB/s": "",
	} {
		_, err := parseByteRate(text)
		var e *unitError
		if !errors.As(err, &e) || want != "" && e.hint != "did you mean "+want+"?" || want == "" && e.hint != "" {
			t.Errorf("%s: %+v", text, err)
		}
		if _, err := parseByteRate(want); want != "" && err != nil {
			t.Errorf("%s is none: %v", want, err)
		}
	}
	if _, err := parseRate("20"); err.(*unitError).hint != "did you mean 20/s?" {
		t.Error(err)
	}
}

func TestWordsInPlaceOfUnits(t *testing.T) {
	c := load(t, "memory: {limit: auto, budget: 4MiB}\nmqtt: {limits: {session_expiry_max: never}}\n")
	if c.Memory.Limit != 0 || c.Memory.Budget != 4<<20 || c.MQTT.Limits.SessionExpiryMax != Never {
		t.Errorf("%+v %+v", c.Memory, c.MQTT.Limits)
	}
}

func TestEnvironment(t *testing.T) {
	env := environment("A=x", "EMPTY=")
	for s, want := range map[string]string{
		"${A}": "x", "a${A}b${A}": "axbx", "${B:-d}": "d", "${EMPTY:-d}": "d", "${EMPTY}": "", "$${A}": "${A}", "$A": "$A", "${B:-}": "",
	} {
		if got, fault, _ := expandEnv(s, env); got != want || fault != "" {
			t.Errorf("%s = %q, %s", s, got, fault)
		}
	}
	for _, s := range []string{"${B}", "${A", "${}", "${a b}"} {
		if got, fault, _ := expandEnv(s, env); fault == "" {
			t.Errorf("%s = %q", s, got)
		}
	}
}

// A value from the environment is text: it never becomes structure.
func TestTheEnvironmentCannotChangeTheStructure(t *testing.T) {
	c := load(t, `bridges: {a: {servers: ["mqtt://a.example"], credentials: {username: "${U}"}, out: [{from: x}]}}`, "U=me\n  evil: true")
	if c.Bridges[0].Credentials.Username != "me\n  evil: true" {
		t.Errorf("%q", c.Bridges[0].Credentials.Username)
	}
}

func TestSecretsNeverShow(t *testing.T) {
	s := struct {
		Public  Secret
		private Secret
	}{NewSecret("hunter2"), NewSecret("hunter2")}
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "secret", s.Public)
	js, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{fmt.Sprintf("%v %+v %#v %s %q %x %d", s, s, s, s.Public, s.Public, s.Public, s.Public), s.private.String(), string(js), logged.String()} {
		if strings.Contains(out, "hunter2") || strings.Contains(out, "68756e74657232") || !strings.Contains(out, "***") {
			t.Errorf("shown as %s", out)
		}
	}
	if s.Public.Reveal() != "hunter2" || (Secret{}).String() != "" {
		t.Error("Reveal or the empty secret is wrong")
	}
}

func TestSecretsComeFromFilesAndCredentials(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "credentials")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"cloud": "from-file\n", "big": strings.Repeat("x", maxSecret+1), "../x": "not a credential"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	loadPassword := func(text string) (string, Errors) {
		c, errs := Load(filepath.Join(dir, "d.yaml"), []byte(`bridges: {a: {servers: ["mqtt://a.example"], credentials: {password: "`+text+`"}, out: [{from: x}]}}`),
			testTables(), environment("CREDENTIALS_DIRECTORY="+dir, "PW=from-env"))
		if c == nil {
			return "", errs
		}
		return c.Bridges[0].Credentials.Password.Reveal(), errs
	}
	for text, want := range map[string]string{
		"file:" + filepath.Join(dir, "cloud"): "from-file", "file:cloud": "from-file", "credential:cloud": "from-file", "${PW}": "from-env", "plain": "plain",
	} {
		if got, errs := loadPassword(text); got != want || len(errs) > 0 {
			t.Errorf("%s = %q, %v", text, got, errs)
		}
	}
	for _, text := range []string{"file:none", "file:big", "file:.", "credential:../x", "credential:", "credential:none"} {
		if got, errs := loadPassword(text); len(errs) != 1 {
			t.Errorf("%s = %q, %v", text, got, errs)
		}
	}
}

// A message about something else in the same line does not show the secret
// beside it.
func TestMessagesStarOutSecrets(t *testing.T) {
	for _, src := range []string{
		"bridges: {a: {servers: [\"mqtt://a.example\"], credentials: {password: hunter2}, bogus: 1, out: [{from: x}]}}\n",
		"bridges: {a: {servers: [\"mqtt://me:hunter2@a.example\"], out: [{from: x}]}}\n",
		"bridges: {a: {servers: [\"mqtt://a.example\"], credentials: {password: \"${X:-hunter2}\"}, bogus: 1, out: [{from: x}]}}\n",
		"bridges:\n  a:\n    credentials: {password: hunter2\n",
		"bridges:\n  a:\n    credentials: {password: [hunter2]}\n",
		"http: {tokens: [{name: a, token: hunter2}, {name: a, token: hunter2}]}\n",
		// misspelled, misplaced, twice, in a wrong form
		"bridges: {a: {credentials: {passwrd: hunter2}}}\n",
		"bridges: {a: {credentials: {pasword: hunter2}}}\n",
		"bridges: {a: {credentials: {password:\"hunter2\"}}}\n",
		"bridges: {a: {credentials: {password:hunter2}}}\n",
		"bridges: {a: {credentials: {password=hunter2, password=hunter2}}}\n",
		"bridges: {a: {credentials: {tokne:hunter2}}}\n",
		"bridges: {a: {credentials: hunter2}}\n",
		"bridges:\n  a:\n    credentials:\n      username: u\n      password = hunter2\n",
		"bridges:\n  a:\n    credentials:\n      username: u\n      password hunter2\n",
		"bridges:\n  a:\n    credentials:\n      username: u\n      passwort=hunter2\n",
		"bridges: {a: {credentials: {pasword: hunter2]}}\n",
		"bridges: {a: {credentials: {Pass_Word: \"hunter2\"}}}\n",
		"bridges: {a: {credentials: {password: x, password: hunter2}}}\n",
		"bridges: {a: {credentials: {password: *hunter2}}}\n",
		"bridges: {a: {credentials: {password: @hunter2}}}\n",
		"bridges: {a: {credentials: {password: \"${hunter2!}\"}}}\n",
		"http: {tokens: [{name: a, tokn: hunter2, role: viewer}]}\n",
		"http: {tokens: [hunter2]}\n",
		"http: {tokens: hunter2}\n",
		"mqtt:\n  password: hunter2\n",
		"password: hunter2\n",
	} {
		_, errs := Load("d.yaml", []byte(src), testTables(), environment())
		var b strings.Builder
		if err := errs.Print(&b); err != nil {
			t.Fatal(err)
		}
		for _, e := range errs {
			b.WriteString(e.Path)
		}
		if len(errs) == 0 || strings.Contains(b.String(), "hunter2") {
			t.Errorf("%s shows\n%s", src, b.String())
		}
	}
}
