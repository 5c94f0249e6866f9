package auth

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
)

const (
	maxUsersFile = 4 << 20
	maxLine      = 1024
)

// users are the people and things of one users file; constant after parsing.
type users struct {
	file   string
	byName map[string]*user
	// dummies are stand-ins for users who do not exist: one per password in
	// the file, so that a stranger looks like one of them.
	dummies []*secret
	// salts keys what a SCRAM client without an account is told.
	salts []byte
	// verifiers are the SCRAM verifiers of all users, by kind.
	verifiers map[kind][]*secret
}

type user struct {
	password *secret // nil without
	token    *secret
	scram    map[kind]*secret
}

// has reports whether the user, nil for none, still has a secret.
func (u *user) has(s *secret) bool {
	if u == nil {
		return false
	}
	for _, own := range []*secret{u.password, u.token, u.scram[s.kind]} {
		if own != nil && own.text == s.text {
			return true
		}
	}
	return false
}

// Fault is one mistake in a file, at its line; 0 is the file as a whole.
type Fault struct {
	File string
	Line int
	Msg  string
	Hint string // a cure, "" when none is known
}

func (f *Fault) Error() string {
	if f.Line == 0 {
		return f.File + ": " + f.Msg
	}
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Msg)
}

// Faults are the mistakes of a file; with any, nothing of it is used.
type Faults []*Fault

// Error returns the faults, one a line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].Error()
	}
	return strings.Join(lines, "\n")
}

// maxFaults is how many mistakes of a file are told.
const maxFaults = 20

// lines calls each for every line that is not empty and no comment; its error
// is that line's fault. What an editor of another system may have put into
// the file is a fault of its own.
func lines(file string, b []byte, each func(line string) error) Faults {
	var faults Faults
	for i := 0; len(b) > 0 && len(faults) < maxFaults; i++ {
		line, rest, _ := bytes.Cut(b, []byte("\n"))
		b = rest
		fail := func(hint, format string, args ...any) {
			faults = append(faults, &Fault{file, i + 1, fmt.Sprintf(format, args...), hint})
		}
		switch {
		case i == 0 && bytes.HasPrefix(line, []byte("\ufeff")):
			fail("save it as UTF-8 without BOM", "the file starts with a byte order mark")
		case len(line) > maxLine:
			fail("", "the line is longer than %d bytes", maxLine)
		case bytes.IndexByte(line, '\r') >= 0:
			fail("convert it: sed -i 's/\\r$//' "+file, "the line ends with a carriage return")
		case bytes.IndexByte(line, 0) >= 0:
			fail("", "the line holds a zero byte: half-written, or no text file")
		case len(line) == 0 || line[0] == '#':
		default:
			if err := each(string(line)); err != nil {
				fail(hintOf(err), "%v", err)
			}
		}
	}
	return faults
}

// cured is an error with a cure.
type cured struct {
	msg, hint string
}

func (c *cured) Error() string { return c.msg }

func hintOf(err error) string {
	if c, ok := err.(*cured); ok {
		return c.hint
	}
	return ""
}

// parseUsers reads a users file. memory is the ceiling of argon2id in KiB.
func parseUsers(file string, b []byte, memory uint32) (*users, error) {
	u := &users{file: file, byName: map[string]*user{}, verifiers: map[kind][]*secret{}}
	faults := lines(file, b, func(line string) error {
		name, text, ok := strings.Cut(line, ":")
		switch {
		case !ok:
			return &cured{"the line has no colon: it must be USER:HASH", ""}
		case name == "":
			return &cured{"the line has no user name in front of the colon", ""}
		case strings.TrimSpace(name) != name:
			return &cured{"blanks around the user name", ""}
		case text == "":
			return &cured{fmt.Sprintf("user %q has no hash", name), "set a password: dunlin passwd " + file + " " + name}
		}
		if err := validUser(name); err != nil {
			return fmt.Errorf("user %q: not a name: empty, reserved, longer than %d bytes, or with control characters", name, maxName)
		}
		s, err := parseSecret(text, memory)
		if err != nil {
			hint := "set a new password: dunlin passwd " + file + " " + name
			if !strings.HasPrefix(text, "$") {
				hint = "hash the passwords of the file: dunlin passwd -U " + file
			}
			return &cured{fmt.Sprintf("user %q: %v", name, err), hint}
		}
		return u.add(name, s)
	})
	if faults != nil {
		return nil, faults
	}
	// A key that only who has the file knows, and that outlives the process.
	sum := sha256.Sum256(b)
	u.salts = sum[:]
	return u, nil
}

// add gives a user a secret; one of each kind.
func (u *users) add(name string, s *secret) error {
	one := u.byName[name]
	if one == nil {
		one = &user{scram: map[kind]*secret{}}
		u.byName[name] = one
	}
	slot, what := &one.password, "password"
	switch s.kind {
	case token:
		slot, what = &one.token, "token"
	case scramSHA256, scramSHA512:
		if one.scram[s.kind] != nil {
			return fmt.Errorf("user %q has a second SCRAM verifier of the same kind", name)
		}
		one.scram[s.kind] = s
		u.verifiers[s.kind] = append(u.verifiers[s.kind], s)
		return nil
	}
	if *slot != nil {
		return fmt.Errorf("user %q has a second %s", name, what)
	}
	*slot = s
	if s.kind != token {
		u.dummies = append(u.dummies, s.dummy())
	}
	return nil
}
