package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpenFiles(t *testing.T) {
	const bridge = "bridges: {cloud: {servers: [\"mqtt://a.example\"], credentials: {username: me, password: %}, out: [{from: a}]}}\n"
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		what, password string
		mode           os.FileMode
		warned         bool
	}{
		{"for everybody", "hunter2", 0o644, true},
		{"for its group", "hunter2", 0o640, false},
		{"elsewhere", "\"file:" + secret + "\"", 0o644, false},
		{"from the environment", "\"${HOME}\"", 0o644, false},
		{"from the environment, else here", "\"${NONE:-hunter2}\"", 0o644, true},
	} {
		file := filepath.Join(dir, "dunlin.yaml")
		if err := os.WriteFile(file, []byte(strings.Replace(bridge, "%", tc.password, 1)), tc.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, tc.mode); err != nil {
			t.Fatal(err)
		}
		c, errs := LoadFile(file, Tables{}, os.LookupEnv)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		found := c.OpenFiles()
		if (len(found) == 1) != tc.warned || tc.warned && (!found[0].Warning || found[0].Line != 1 || !strings.HasPrefix(found[0].Hint, "chmod o= "+file+",")) {
			t.Errorf("%s: %+v", tc.what, found)
		}
		var text strings.Builder
		if found.Print(&text); strings.Contains(text.String(), "hunter2") {
			t.Errorf("%s: the secret is shown: %s", tc.what, &text)
		}
	}
}
