package auth

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// SCRAM (RFC 5802, RFC 7677) as an Authentication Method of MQTT 5.0:
// CONNECT carries client-first, AUTH from the server server-first, AUTH from
// the client client-final, CONNACK or the last AUTH server-final. There is no
// channel binding.

// methods are the kinds of verifier by Authentication Method.
var methods = map[string]kind{"SCRAM-SHA-256": scramSHA256, "SCRAM-SHA-512": scramSHA512}

func (k kind) newHash() func() hash.Hash {
	if k == scramSHA512 {
		return sha512.New
	}
	return sha256.New
}

// maxSCRAMData is the longest message of a client in bytes.
const maxSCRAMData = 1024

// scram is one exchange.
type scram struct {
	auth     *Auth
	state    *state
	connect  Connect
	kind     kind
	nonce    func() string // tests put in those of the RFC
	verifier *secret       // of the user, or a stand-in
	exists   bool
	user     string
	gs2      string // header of client-first
	combined string // both nonces
	authText string // client-first-bare , server-first
	step     int
}

// Exchange implements Authenticator: SCRAM-SHA-256 and SCRAM-SHA-512, where
// the users file holds verifiers for them.
func (a *Auth) Exchange(method string, c *Connect) Exchange {
	k, ok := methods[method]
	s := a.state.Load()
	u := s.usersOf(c.Listener)
	if !ok || u == nil || len(u.verifiers[k]) == 0 {
		return nil
	}
	x := &scram{auth: a, state: s, connect: *c, kind: k, nonce: rand.Text}
	x.connect.Password = nil // valid only during the call
	return x
}

// Step implements Exchange. Nothing in it is slow: the client does the work.
func (x *scram) Step(_ context.Context, data []byte) (reply []byte, done bool, id Identity, err error) {
	x.step++
	if len(data) > maxSCRAMData || !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return nil, false, id, scramError("not a SCRAM message")
	}
	switch x.step {
	case 1:
		reply, err = x.first(string(data))
		return reply, false, id, err
	case 2:
		reply, err = x.final(string(data))
		if err != nil {
			return nil, false, id, err
		}
		id = x.state.account(x.connect.Listener, x.user, x.verifier)
		g := x.state.compile(id.User, x.connect.ClientID, x.connect.Listener)
		if g.misfit == "{user}" || g.misfit == "{client}" && x.connect.ClientID != "" {
			return nil, false, Identity{}, misfitError(g.misfit)
		}
		return reply, true, id, nil
	}
	return nil, false, id, scramError("it is over")
}

func scramError(format string, args ...any) error {
	return mqtt.Errorf(mqtt.NotAuthorized, "", "SCRAM: "+format, args...)
}

// first reads client-first and returns server-first.
func (x *scram) first(text string) ([]byte, error) {
	flag, rest, ok1 := strings.Cut(text, ",")
	authzid, bare, ok2 := strings.Cut(rest, ",")
	switch {
	case !ok1 || !ok2:
		return nil, scramError("client-first is too short")
	case strings.HasPrefix(flag, "p="):
		return nil, scramError("channel binding is not supported")
	case flag != "n" && flag != "y":
		return nil, scramError("client-first starts with n, y or p")
	}
	x.gs2 = flag + "," + authzid + ","
	fields := strings.Split(bare, ",")
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "n=") || !strings.HasPrefix(fields[1], "r=") {
		return nil, scramError("client-first needs n= and r=, and no extension in front of them")
	}
	name, ok := saslName(fields[0][2:])
	if !ok {
		return nil, scramError("the user name is not well-formed")
	}
	if authzid != "" {
		if as, ok := saslName(strings.TrimPrefix(authzid, "a=")); !ok || !strings.HasPrefix(authzid, "a=") || as != name {
			return nil, scramError("acting for another user is not supported")
		}
	}
	if c := &x.connect; c.HasUsername && c.Username != "" && c.Username != name || c.CertificateUser != "" && c.CertificateUser != name {
		return nil, scramError("the user is not the one of CONNECT or of the certificate")
	}
	if nonce := fields[1][2:]; !printable(nonce) {
		return nil, scramError("the nonce is empty or not printable")
	}
	x.user = name
	x.verifier, x.exists = x.state.usersOf(x.connect.Listener).verifier(x.kind, name)
	x.combined = fields[1][2:] + x.nonce()
	first := fmt.Sprintf("r=%s,s=%s,i=%d", x.combined, base64.StdEncoding.EncodeToString(x.verifier.salt), x.verifier.iterations)
	x.authText = bare + "," + first
	return []byte(first), nil
}

// final reads client-final, checks the proof and returns server-final.
func (x *scram) final(text string) ([]byte, error) {
	i := strings.LastIndex(text, ",p=")
	if i < 0 {
		return nil, scramError("client-final without proof")
	}
	without := text[:i]
	fields := strings.Split(without, ",")
	if len(fields) < 2 || fields[0] != "c="+base64.StdEncoding.EncodeToString([]byte(x.gs2)) {
		return nil, scramError("client-final does not repeat the header")
	}
	if subtle.ConstantTimeCompare([]byte(fields[1]), []byte("r="+x.combined)) != 1 {
		return nil, scramError("client-final does not repeat the nonce")
	}
	newHash := x.kind.newHash()
	size := newHash().Size()
	proof, err := base64Padded.DecodeString(text[i+3:])
	if err != nil || len(proof) != size {
		return nil, scramError("the proof is not %d bytes of base64", size)
	}
	message := []byte(x.authText + "," + without)
	mac := func(key, text []byte) []byte {
		h := hmac.New(newHash, key)
		h.Write(text)
		return h.Sum(nil)
	}
	clientKey := make([]byte, size)
	subtle.XORBytes(clientKey, proof, mac(x.verifier.stored, message))
	h := newHash()
	h.Write(clientKey)
	if subtle.ConstantTimeCompare(h.Sum(nil), x.verifier.stored) != 1 || !x.exists {
		return nil, errWrong
	}
	return []byte("v=" + base64.StdEncoding.EncodeToString(mac(x.verifier.sum, message))), nil
}

// verifier returns a user's verifier. Who has none gets one that nothing
// proves, with a salt that stays the same while the file does.
func (u *users) verifier(k kind, name string) (s *secret, exists bool) {
	if one := u.byName[name]; one != nil && one.scram[k] != nil {
		return one.scram[k], true
	}
	like := u.verifiers[k][0]
	h := hmac.New(sha256.New, u.salts)
	h.Write([]byte(name))
	sum := h.Sum(nil)
	s = &secret{kind: k, iterations: u.verifiers[k][int(sum[31])%len(u.verifiers[k])].iterations}
	s.salt = sum[:min(len(like.salt), 31)]
	s.stored, s.sum = make([]byte, len(like.stored)), make([]byte, len(like.sum))
	rand.Read(s.stored)
	return s, false
}

// saslName reads the escapes of a saslname: =2C is a comma, =3D an equals
// sign, any other = is wrong.
func saslName(s string) (name string, ok bool) {
	name = strings.NewReplacer("=2C", ",", "=3D", "=").Replace(s)
	escapes := strings.Count(s, "=2C") + strings.Count(s, "=3D")
	return name, strings.Count(s, "=") == escapes && validUser(name) == nil
}

// printable reports whether s is a nonce: printable ASCII without a comma.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e || s[i] == ',' {
			return false
		}
	}
	return s != ""
}

// newSCRAM makes a verifier. The password must be printable ASCII, of which
// SASLprep changes nothing: clients disagree about the rest.
func newSCRAM(k kind, password []byte, salt []byte, iterations int) (*secret, error) {
	for _, c := range password {
		if c < 0x20 || c > 0x7e {
			return nil, fmt.Errorf("SCRAM passwords of dunlin are printable ASCII: clients prepare other characters in different ways")
		}
	}
	newHash := k.newHash()
	salted, err := pbkdf2.Key(newHash, string(password), salt, iterations, newHash().Size())
	if err != nil {
		return nil, err
	}
	mac := func(text string) []byte {
		h := hmac.New(newHash, salted)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	h := newHash()
	h.Write(mac("Client Key"))
	s := &secret{kind: k, salt: salt, iterations: iterations, stored: h.Sum(nil), sum: mac("Server Key")}
	b64 := base64.StdEncoding.EncodeToString
	s.text = fmt.Sprintf("$scram-sha-%d$%d:%s$%s:%s", newHash().Size()*8, iterations, b64(salt), b64(s.stored), b64(s.sum))
	return s, nil
}
