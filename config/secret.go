package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// Secret is a text that never shows: every way of formatting it gives ***,
// or nothing when it is empty.
type Secret struct {
	text *string // a pointer, so that printing an enclosing struct by reflection shows an address
}

// NewSecret wraps a text.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsSet reports whether there is a text.
func (s Secret) IsSet() bool { return s.Reveal() != "" }

// String returns ***, or "" when nothing is set.
func (s Secret) String() string {
	if !s.IsSet() {
		return ""
	}
	return "***"
}

// GoString is String.
func (s Secret) GoString() string { return s.String() }

// Format writes String for every verb.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// MarshalText is String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue is String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// maxSecret bounds a secret's file.
const maxSecret = 64 << 10

// secret follows file:/path and credential:name. dir is where a relative path
// starts.
func (l *loader) secret(text, dir string) (Secret, string) {
	path := ""
	switch {
	case strings.HasPrefix(text, "credential:"):
		name := strings.TrimPrefix(text, "credential:")
		base, ok := l.env("CREDENTIALS_DIRECTORY")
		if !ok {
			return Secret{}, "there are no credentials: $CREDENTIALS_DIRECTORY is not set (systemd's LoadCredential= sets it)"
		}
		if name == "" || filepath.Base(name) != name || name == ".." || name == "." {
			return Secret{}, "a credential's name is one file name"
		}
		path = filepath.Join(base, name)
	case strings.HasPrefix(text, "file:"):
		path = resolve(dir, strings.TrimPrefix(text, "file:"))
	default:
		return NewSecret(text), ""
	}
	b, err := readAtMost(path, maxSecret)
	if err != nil {
		return Secret{}, "cannot read the secret: " + err.Error()
	}
	return NewSecret(strings.TrimRight(string(b), "\r\n")), ""
}

// resolve returns p, which a file in dir names.
func resolve(dir, p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(dir, p)
}

// readAtMost reads a regular file (or a pipe) of at most n bytes.
func readAtMost(path string, n int) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	fault := ""
	switch {
	case st.IsDir():
		fault = "it is a directory"
	case !st.Mode().IsRegular():
		fault = "it is no regular file"
	case st.Size() > int64(n):
		fault = fmt.Sprintf("it is larger than %d KiB", n>>10)
	default:
		return os.ReadFile(path)
	}
	return nil, &os.PathError{Op: "read", Path: path, Err: errors.New(fault)}
}
