package auth

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// kind says how a secret of the users file proves a user.
type kind uint8

const (
	sha512Once kind = iota + 1 // $6$: SHA-512 of password and salt
	pbkdf2SHA                  // $7$: PBKDF2-HMAC-SHA512
	argon2ID                   // $argon2id$
	token                      // $dunlin1$: SHA-256 of a random token
	scramSHA256
	scramSHA512
)

// Ceilings of what one line of a users file may cost to check.
const (
	maxIterations = 500_000 // of $7$: 0.2 s on a PC, 20 s on the smallest boards
	maxMemory     = 64 << 10
	maxPasses     = 20 // of argon2id, over maxMemory / 4
	minSCRAM      = 4096
	maxSCRAM      = 1_000_000
)

// secret is what a users file keeps of a password or token. It is constant.
type secret struct {
	kind       kind
	text       string // as in the file
	salt, sum  []byte
	stored     []byte // SCRAM's StoredKey; sum is the ServerKey
	iterations int
	memory     uint32 // argon2id: KiB
	passes     uint32
	threads    uint8
}

var (
	base64Padded = base64.StdEncoding.Strict()
	base64Bare   = base64.RawStdEncoding.Strict()
)

// parseSecret reads what follows the colon in a users file. memory is the
// ceiling of argon2id in KiB. The error never holds the text.
func parseSecret(text string, memory uint32) (*secret, error) {
	if !strings.HasPrefix(text, "$") {
		return nil, fmt.Errorf("not a hash: a plain password is not accepted")
	}
	f := strings.Split(text[1:], "$")
	s := &secret{text: text}
	var err error
	switch f[0] {
	case "6":
		err = s.parseSHA512(f[1:])
	case "7":
		err = s.parsePBKDF2(f[1:])
	case "argon2id":
		err = s.parseArgon2(f[1:], memory)
	case "dunlin1":
		err = s.parseToken(f[1:])
	case "scram-sha-256":
		s.kind = scramSHA256
		err = s.parseSCRAM(f[1:], sha256.Size)
	case "scram-sha-512":
		s.kind = scramSHA512
		err = s.parseSCRAM(f[1:], sha512.Size)
	default:
		return nil, fmt.Errorf("unknown kind of hash: $6$, $7$, $argon2id$, $dunlin1$, $scram-sha-256$ and $scram-sha-512$ are known")
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *secret) parseSHA512(f []string) (err error) {
	s.kind = sha512Once
	if len(f) != 2 {
		return fmt.Errorf("a $6$ hash is $6$SALT$HASH")
	}
	return s.parseSum(base64Padded, f[0], f[1], sha512.Size)
}

func (s *secret) parsePBKDF2(f []string) (err error) {
	s.kind = pbkdf2SHA
	if len(f) != 3 {
		return fmt.Errorf("a $7$ hash is $7$ITERATIONS$SALT$HASH")
	}
	if s.iterations, err = number(f[0], 1, maxIterations, "iterations"); err != nil {
		return err
	}
	return s.parseSum(base64Padded, f[1], f[2], sha512.Size)
}

func (s *secret) parseArgon2(f []string, memory uint32) error {
	s.kind = argon2ID
	if len(f) != 4 || f[0] != "v=19" {
		return fmt.Errorf("an argon2id hash is $argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$HASH")
	}
	values := [3]int{}
	params := strings.Split(f[1], ",")
	for i, p := range []struct {
		key string
		max int
	}{{"m=", int(memory)}, {"t=", maxPasses}, {"p=", 8}} {
		if len(params) != 3 || !strings.HasPrefix(params[i], p.key) {
			return fmt.Errorf("argon2id parameters are m=KIB,t=PASSES,p=LANES")
		}
		var err error
		if values[i], err = number(params[i][2:], 1, p.max, "argon2id "+p.key[:1]); err != nil {
			return err
		}
	}
	if values[0]*values[1] > maxMemory*4 {
		return fmt.Errorf("argon2id m times t is above %d", maxMemory*4)
	}
	s.memory, s.passes, s.threads = uint32(values[0]), uint32(values[1]), uint8(values[2])
	return s.parseSum(base64Bare, f[2], f[3], 0)
}

func (s *secret) parseToken(f []string) (err error) {
	s.kind = token
	if len(f) != 1 {
		return fmt.Errorf("a token is $dunlin1$HASH")
	}
	if s.sum, err = base64Bare.DecodeString(f[0]); err != nil || len(s.sum) != sha256.Size {
		return fmt.Errorf("the hash is not %d bytes of base64", sha256.Size)
	}
	return nil
}

func (s *secret) parseSCRAM(f []string, size int) (err error) {
	bad := fmt.Errorf("a SCRAM verifier is $scram-sha-NNN$ITERATIONS:SALT$STOREDKEY:SERVERKEY")
	if len(f) != 2 {
		return bad
	}
	iterations, salt, ok1 := strings.Cut(f[0], ":")
	stored, server, ok2 := strings.Cut(f[1], ":")
	if !ok1 || !ok2 {
		return bad
	}
	if s.iterations, err = number(iterations, minSCRAM, maxSCRAM, "iterations"); err != nil {
		return err
	}
	if s.stored, err = base64Padded.DecodeString(stored); err != nil || len(s.stored) != size {
		return fmt.Errorf("the StoredKey is not %d bytes of base64", size)
	}
	return s.parseSum(base64Padded, salt, server, size)
}

// parseSum reads salt and hash; size is the hash's, 0 for 16 to 64 bytes.
func (s *secret) parseSum(enc *base64.Encoding, salt, sum string, size int) (err error) {
	if s.salt, err = enc.DecodeString(salt); err != nil || len(s.salt) < 8 || len(s.salt) > 64 {
		return fmt.Errorf("the salt is not 8 to 64 bytes of base64")
	}
	s.sum, err = enc.DecodeString(sum)
	if err != nil || size != 0 && len(s.sum) != size || len(s.sum) < 16 || len(s.sum) > 64 {
		return fmt.Errorf("the hash is empty, cut short or no base64")
	}
	return nil
}

// number reads a decimal number without sign or leading zero.
func number(text string, least, most int, what string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || strconv.Itoa(n) != text || n < least || n > most {
		return 0, fmt.Errorf("%s must be a number from %d to %d", what, least, most)
	}
	return n, nil
}

// slow reports whether a check is worth a place in the line of the one-slot
// checker.
func (s *secret) slow() bool { return s.kind == pbkdf2SHA || s.kind == argon2ID }

// verify compares a password or token, in constant time, after the work that
// its kind asks for.
func (s *secret) verify(password []byte) bool {
	return subtle.ConstantTimeCompare(s.hash(password), s.sum) == 1
}

func (s *secret) hash(password []byte) []byte {
	switch s.kind {
	case sha512Once:
		h := sha512.New()
		h.Write(password)
		h.Write(s.salt)
		return h.Sum(nil)
	case pbkdf2SHA:
		sum, err := pbkdf2.Key(sha512.New, string(password), s.salt, s.iterations, sha512.Size)
		if err != nil {
			return nil // only in FIPS mode, for a short salt
		}
		return sum
	case argon2ID:
		return argon2.IDKey(password, s.salt, s.passes, s.memory, s.threads, uint32(len(s.sum)))
	case token:
		sum := sha256.Sum256(password)
		return sum[:]
	}
	return nil
}

// dummy returns a secret that costs as much to check as s and that nothing
// proves.
func (s *secret) dummy() *secret {
	d := *s
	d.text = ""
	d.salt, d.sum = make([]byte, len(s.salt)), make([]byte, len(s.sum))
	rand.Read(d.salt)
	rand.Read(d.sum)
	return &d
}
