package update

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/crypto/blake2b"
)

// The formats are minisign's (https://jedisct1.github.io/minisign/): lines of
// comments, and base64 of an algorithm, a key's number, and a key or signature.
const (
	prehashed  = "ED" // over the BLAKE2b-512 of what is signed
	legacy     = "Ed" // over what is signed
	untrusted  = "untrusted comment: "
	trusted    = "trusted comment: "
	maxComment = 1024 // bytes of a line
)

// PublicKey is one that updates are trusted by.
type PublicKey struct {
	Number [8]byte
	Key    ed25519.PublicKey
}

// String is the key's number as minisign prints it.
func (k PublicKey) String() string { return number(k.Number) }

// number is a key's number, which is little-endian, as digits.
func number(n [8]byte) string {
	slices.Reverse(n[:])
	return strings.ToUpper(hex.EncodeToString(n[:]))
}

// ParsePublicKeys reads a file of public keys: minisign's .pub files one
// behind the other.
func ParsePublicKeys(text string) (keys []PublicKey, err error) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, untrusted) {
			continue
		}
		b, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(b) != 2+8+ed25519.PublicKeySize || string(b[:2]) != legacy {
			return nil, fmt.Errorf("%q is not a public key of minisign", line)
		}
		keys = append(keys, PublicKey{[8]byte(b[2:10]), b[10:]})
	}
	return keys, nil
}

// Signature is one of minisign's.
type Signature struct {
	algorithm string
	number    [8]byte
	signature []byte
	comment   string // trusted: signed by global
	global    []byte
}

// errNoSignature is the answer to a file that begins otherwise.
var errNoSignature = errors.New("this is not an update file of dunlin: it does not begin with a signature")

// readSignature reads the four lines of a signature and nothing behind them.
func readSignature(r *bufio.Reader) (*Signature, error) {
	var lines [4]string
	for i, prefix := range []string{untrusted, "", trusted, ""} {
		line, err := signatureLine(r)
		if err != nil {
			return nil, err
		}
		ok := false
		if lines[i], ok = strings.CutPrefix(line, prefix); !ok {
			return nil, errNoSignature
		}
	}
	s := &Signature{comment: lines[2]}
	b, err := base64.StdEncoding.DecodeString(lines[1])
	if err != nil || len(b) != 2+8+ed25519.SignatureSize {
		return nil, errNoSignature
	}
	s.algorithm, s.number, s.signature = string(b[:2]), [8]byte(b[2:10]), b[10:]
	if s.global, err = base64.StdEncoding.DecodeString(lines[3]); err != nil || len(s.global) != ed25519.SignatureSize {
		return nil, errNoSignature
	}
	return s, nil
}

func signatureLine(r *bufio.Reader) (string, error) {
	var b []byte
	for len(b) <= maxComment {
		c, err := r.ReadByte()
		switch {
		case err == io.EOF:
			return "", errors.New("the file ends within its signature")
		case err != nil:
			return "", err
		case c == '\n':
			return string(bytes.TrimSuffix(b, []byte("\r"))), nil
		}
		b = append(b, c)
	}
	return "", errNoSignature
}

// Verify reports nil when one of the keys signed the message.
func (s *Signature) Verify(keys []PublicKey, message []byte) error {
	for _, k := range keys {
		if k.Number != s.number {
			continue
		}
		switch s.algorithm {
		case prehashed:
			sum := blake2b.Sum512(message)
			message = sum[:]
		case legacy:
		default:
			return fmt.Errorf("the signature is of the kind %q, which this version does not know", s.algorithm)
		}
		if !ed25519.Verify(k.Key, message, s.signature) || !ed25519.Verify(k.Key, s.whole(), s.global) {
			return fmt.Errorf("the signature of key %s does not fit: the file was changed", k)
		}
		return nil
	}
	return fmt.Errorf("the update is signed by key %s, which this gateway does not trust", number(s.number))
}

// whole is what the second signature covers.
func (s *Signature) whole() []byte { return append(slices.Clone(s.signature), s.comment...) }

// SecretKey signs updates.
type SecretKey struct {
	Number [8]byte
	Key    ed25519.PrivateKey
}

// NewSecretKey makes a key.
func NewSecretKey() (SecretKey, error) {
	var k SecretKey
	rand.Read(k.Number[:])
	var err error
	_, k.Key, err = ed25519.GenerateKey(rand.Reader)
	return k, err
}

// Public is what verifies the key's signatures.
func (k SecretKey) Public() PublicKey {
	return PublicKey{k.Number, k.Key.Public().(ed25519.PublicKey)}
}

// Lengths within a secret key's file: algorithms of signature, key derivation
// and checksum; salt and limits of the derivation; number, key, checksum.
const (
	secretHead     = 2 + 2 + 2
	secretDerived  = 32 + 8 + 8
	secretChecksum = blake2b.Size256
)

// ParseSecretKey reads minisign's .key file, one without a password
// ("minisign -G -W").
func ParseSecretKey(text string) (k SecretKey, err error) {
	_, line, _ := strings.Cut(text, "\n")
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
	const at = secretHead + secretDerived
	if err != nil || len(b) != at+8+ed25519.PrivateKeySize+secretChecksum || string(b[:2]) != legacy {
		return k, errors.New("this is not a secret key of minisign")
	}
	if b[2]|b[3] != 0 {
		return k, errors.New("the secret key has a password: sign with minisign itself (docs/update.md)")
	}
	k.Number, k.Key = [8]byte(b[at:]), b[at+8:at+8+ed25519.PrivateKeySize]
	if sum := k.checksum(); !bytes.Equal(sum[:], b[at+8+ed25519.PrivateKeySize:]) && !bytes.Equal(make([]byte, secretChecksum), b[at+8+ed25519.PrivateKeySize:]) {
		return k, errors.New("the secret key is damaged")
	}
	return k, nil
}

func (k SecretKey) checksum() [secretChecksum]byte {
	return blake2b.Sum256(slices.Concat([]byte(legacy), k.Number[:], k.Key))
}

// Text is the key as ParseSecretKey and minisign read it.
func (k SecretKey) Text() string {
	sum := k.checksum()
	b := slices.Concat([]byte(legacy+"\x00\x00B2"), make([]byte, secretDerived), k.Number[:], k.Key, sum[:])
	return untrusted + "minisign secret key " + number(k.Number) + "\n" + base64.StdEncoding.EncodeToString(b) + "\n"
}

// Text is the key as ParsePublicKeys and minisign read it.
func (k PublicKey) Text() string {
	b := slices.Concat([]byte(legacy), k.Number[:], k.Key)
	return untrusted + "minisign public key " + k.String() + "\n" + base64.StdEncoding.EncodeToString(b) + "\n"
}

// Sign makes a prehashed signature. The comment is signed too; it is one line.
func (k SecretKey) Sign(message []byte, comment string) string {
	sum := blake2b.Sum512(message)
	s := &Signature{prehashed, k.Number, ed25519.Sign(k.Key, sum[:]), comment, nil}
	s.global = ed25519.Sign(k.Key, s.whole())
	b64 := base64.StdEncoding.EncodeToString
	return untrusted + "signature of an update of dunlin\n" + b64(slices.Concat([]byte(prehashed), s.number[:], s.signature)) +
		"\n" + trusted + comment + "\n" + b64(s.global) + "\n"
}
