package auth

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
)

// tokenPrefix starts each token, so that it is told from a password. A token
// is 160 random bits: one SHA-256 of it is enough.
const tokenPrefix = "dt1_"

const (
	mosquittoIterations = 20_000 // of $7$; mosquitto 2.0 writes 101 and reads this
	scramIterations     = 15_000 // the client's work at each login
	smallMachine        = 256 << 20
)

// Cost is what argon2id takes for one password.
type Cost struct {
	Memory uint32 // KiB
	Passes uint32
}

// DefaultCost fits a machine with so much memory in bytes; 0 is not known.
func DefaultCost(memory int64) Cost {
	if memory > 0 && memory < smallMachine {
		return Cost{Memory: 4 << 10, Passes: 3}
	}
	return Cost{Memory: 19 << 10, Passes: 2}
}

// Calibrate returns the cost at which one password takes about target on this
// machine: at most the memory of c, at least 4 MiB. It hashes a few times.
func (c Cost) Calibrate(target time.Duration) Cost {
	for c.Passes = 1; ; c.Memory /= 2 {
		start := time.Now()
		argon2.IDKey([]byte("calibrate"), make([]byte, 16), 1, c.Memory, 1, 32)
		took := max(time.Since(start), time.Microsecond)
		if took <= target || c.Memory/2 < leastMemory {
			most := min(maxPasses, maxMemory*4/int(c.Memory))
			c.Passes = uint32(min(max(int(target/took), 1), most))
			return c
		}
	}
}

// checkPassword refuses what no login could send.
func checkPassword(password []byte) error {
	switch {
	case len(password) == 0:
		return errors.New("the password is empty")
	case len(password) > maxPassword:
		return fmt.Errorf("the password is longer than %d bytes", maxPassword)
	case bytes.IndexByte(password, 0) >= 0:
		return errors.New("the password holds a zero byte")
	case bytes.HasPrefix(password, []byte(tokenPrefix)):
		return fmt.Errorf("a password does not start with %s: tokens do", tokenPrefix)
	}
	return nil
}

// HashPassword returns what a users file keeps of a password.
func HashPassword(password []byte, c Cost) (string, error) {
	if err := checkPassword(password); err != nil {
		return "", err
	}
	salt := random(16)
	sum := argon2.IDKey(password, salt, c.Passes, c.Memory, 1, 32)
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=1$%s$%s", c.Memory, c.Passes, base64Bare.EncodeToString(salt), base64Bare.EncodeToString(sum)), nil
}

// HashForMosquitto is HashPassword in a format that mosquitto 2.0 reads.
func HashForMosquitto(password []byte) (string, error) {
	if err := checkPassword(password); err != nil {
		return "", err
	}
	salt := random(12)
	sum, err := pbkdf2.Key(sha512.New, string(password), salt, mosquittoIterations, sha512.Size)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("$7$%d$%s$%s", mosquittoIterations, base64Padded.EncodeToString(salt), base64Padded.EncodeToString(sum)), nil
}

// SCRAMVerifiers returns what a users file keeps of a password for
// SCRAM-SHA-256 and SCRAM-SHA-512.
func SCRAMVerifiers(password []byte) ([]string, error) {
	if err := checkPassword(password); err != nil {
		return nil, err
	}
	var out []string
	for _, k := range []kind{scramSHA256, scramSHA512} {
		s, err := newSCRAM(k, password, random(16), scramIterations)
		if err != nil {
			return nil, err
		}
		out = append(out, s.text)
	}
	return out, nil
}

// NewToken makes a token and what a users file keeps of it.
func NewToken() (token, hash string) {
	token = tokenPrefix + strings.ToLower(rand.Text()+rand.Text()[:6])
	sum := sha256.Sum256([]byte(token))
	return token, "$dunlin1$" + base64Bare.EncodeToString(sum[:])
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// UsersText is the text of a users file, to be changed without touching its
// comments and order.
type UsersText struct{ lines []string }

// ParseUsersText reads a users file for changing; it must be a valid one, but
// passwords may still be in the clear.
func ParseUsersText(file string, b []byte) (*UsersText, error) {
	if faults := lines(file, b, func(string) error { return nil }); faults != nil {
		return nil, faults
	}
	u := &UsersText{}
	if text := strings.TrimSuffix(string(b), "\n"); text != "" {
		u.lines = strings.Split(text, "\n")
	}
	return u, nil
}

// Bytes returns the text.
func (u *UsersText) Bytes() []byte {
	if len(u.lines) == 0 {
		return nil
	}
	return []byte(strings.Join(u.lines, "\n") + "\n")
}

// entry takes a line apart; ok is false for comments and empty lines.
func entry(line string) (user, hash string, ok bool) {
	if strings.HasPrefix(line, "#") {
		return "", "", false
	}
	return strings.Cut(line, ":")
}

// class groups the kinds of secrets of which a user has one.
func class(hash string) string {
	for _, prefix := range []string{"$dunlin1$", "$scram-sha-256$", "$scram-sha-512$"} {
		if strings.HasPrefix(hash, prefix) {
			return prefix
		}
	}
	return "password"
}

// HasSCRAM reports whether a user has SCRAM verifiers: they must be renewed
// with the password.
func (u *UsersText) HasSCRAM(user string) bool {
	for _, line := range u.lines {
		if name, hash, ok := entry(line); ok && name == user && strings.HasPrefix(hash, "$scram-") {
			return true
		}
	}
	return false
}

// Set gives a user hashes, in place of those of the same kinds. The error
// says why the name is none.
func (u *UsersText) Set(user string, hashes ...string) error {
	if err := validUser(user); err != nil || strings.ContainsAny(user, ":") || strings.TrimSpace(user) != user || user[0] == '#' {
		return fmt.Errorf("%q cannot be a user name: 1 to %d bytes without control characters, without : or # at the start, without blanks around it, and not %q",
			user, maxName, Anonymous)
	}
	for _, hash := range hashes {
		u.set(user, hash)
	}
	return nil
}

func (u *UsersText) set(user, hash string) {
	last := -1
	for i, line := range u.lines {
		name, old, ok := entry(line)
		if !ok || name != user {
			continue
		}
		if last = i; class(old) == class(hash) {
			u.lines[i] = user + ":" + hash
			return
		}
	}
	if last < 0 {
		last = len(u.lines) - 1
	}
	u.lines = append(u.lines[:last+1], append([]string{user + ":" + hash}, u.lines[last+1:]...)...)
}

// Users are those that have a line, in their order.
func (u *UsersText) Users() (all []string) {
	for _, line := range u.lines {
		if name, _, ok := entry(line); ok && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// Delete removes all lines of a user and reports whether there were any.
func (u *UsersText) Delete(user string) bool {
	kept := u.lines[:0]
	for _, line := range u.lines {
		if name, _, ok := entry(line); !ok || name != user {
			kept = append(kept, line)
		}
	}
	found := len(kept) < len(u.lines)
	u.lines = kept
	return found
}

// HashAll hashes passwords that are in the clear and returns how many there
// were. What is a hash already stays.
func (u *UsersText) HashAll(hash func(password []byte) (string, error)) (n int, err error) {
	for i, line := range u.lines {
		name, text, ok := entry(line)
		if !ok {
			continue
		}
		if strings.HasPrefix(text, "$") && strings.Count(text, "$") > 1 {
			continue
		}
		h, err := hash([]byte(text))
		if err != nil {
			return n, fmt.Errorf("line %d, user %q: %w", i+1, name, err)
		}
		u.lines[i] = name + ":" + h
		n++
	}
	return n, nil
}

// CheckUsers reports the mistakes of a users file as Faults.
func CheckUsers(file string, b []byte) error {
	_, err := parseUsers(file, b, maxMemory)
	return err
}
