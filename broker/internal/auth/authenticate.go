package auth

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

const (
	maxPassword = 512  // bytes that are hashed
	maxToken    = 8192 // bytes of a JWT
)

// Authenticate implements Authenticator. What a transport proved comes first:
// a client certificate stands for its user whatever CONNECT says, a Unix socket
// for the system user when CONNECT has no password. Then the User Name and
// Password of CONNECT; then nothing, where the listener lets that in.
func (a *Auth) Authenticate(ctx context.Context, c *Connect) (Identity, error) {
	s := a.state.Load()
	id, err := a.identify(ctx, s, c)
	if err != nil {
		return Identity{}, err
	}
	if g := s.compile(id.User, c.ClientID, c.Listener); g.misfit == "{user}" || g.misfit == "{client}" && c.ClientID != "" {
		return Identity{}, misfitError(g.misfit)
	}
	return id, nil
}

// misfitError refuses a name that would mean more than itself in a rule.
func misfitError(template string) error {
	if template == "{client}" {
		return mqtt.Errorf(mqtt.ClientIdentifierNotValid, "", "the Client Identifier does not fit into a rule with {client}")
	}
	return mqtt.Errorf(mqtt.NotAuthorized, "", "the user name does not fit into a rule with {user}")
}

func (a *Auth) identify(ctx context.Context, s *state, c *Connect) (Identity, error) {
	switch {
	case c.CertificateUser != "":
		return known(c.CertificateUser)
	case c.SocketUser != "" && !c.Anonymous && !c.HasPassword && (!c.HasUsername || c.Username == c.SocketUser):
		return known(c.SocketUser)
	case c.HasPassword && s.keys != nil && looksLikeJWT(c.Password):
		return a.byJWT(ctx, s, c)
	case (c.HasUsername || c.HasPassword) && s.usersOf(c.Listener) != nil:
		return a.byPassword(ctx, s, c)
	case (c.HasUsername || c.HasPassword) && (s.keys != nil || !c.Anonymous):
		return Identity{}, errWrong
	case c.Anonymous: // what it says about itself is no proof
		return Identity{proof: &proof{}}, nil
	}
	return Identity{}, errNobody
}

// known makes the identity of a name that was proved outside this package.
func known(name string) (Identity, error) {
	if err := validUser(name); err != nil {
		return Identity{}, err
	}
	return Identity{User: name, proof: &proof{}}, nil
}

// byPassword looks into the users file. A user who does not exist costs as
// much as a wrong password.
func (a *Auth) byPassword(ctx context.Context, s *state, c *Connect) (Identity, error) {
	if len(c.Password) == 0 || len(c.Password) > maxPassword || bytes.IndexByte(c.Password, 0) >= 0 || validUser(c.Username) != nil {
		return Identity{}, errWrong
	}
	u := s.usersOf(c.Listener)
	sec, exists := u.secretFor(a.checker, c.Username, c.Password)
	if sec == nil {
		return Identity{}, errWrong
	}
	ok, err := a.checker.check(ctx, c, sec)
	switch {
	case err != nil:
		return Identity{}, err
	case !ok || !exists:
		return Identity{}, errWrong
	}
	return s.account(c.Listener, c.Username, sec), nil
}

// account is the identity that an entry of a users file proves.
func (s *state) account(listener, name string, by *secret) Identity {
	p := &proof{by: by}
	if s.listeners[listener].users != nil {
		p.realm = listener
	}
	return Identity{User: name, proof: p}
}

// secretFor returns what a password is to be compared with: the user's own,
// or a stand-in that nothing proves; nil where there is nothing to compare
// with for anybody.
func (u *users) secretFor(k *checker, name string, password []byte) (s *secret, exists bool) {
	one := u.byName[name]
	if bytes.HasPrefix(password, []byte(tokenPrefix)) {
		if one != nil && one.token != nil {
			return one.token, true
		}
		return nil, false // as fast as a comparison with one SHA-256
	}
	if one != nil && one.password != nil {
		return one.password, true
	}
	if len(u.dummies) == 0 {
		return nil, false
	}
	h := hmac.New(sha256.New, k.key[:])
	h.Write([]byte(name))
	return u.dummies[binary.BigEndian.Uint64(h.Sum(nil))%uint64(len(u.dummies))], false
}

// byJWT takes the password for a signed token. The User Name of CONNECT must
// be absent, empty or the token's.
func (a *Auth) byJWT(ctx context.Context, s *state, c *Connect) (id Identity, err error) {
	if len(c.Password) > maxToken {
		return id, errWrong
	}
	var t claims
	if busy := a.checker.run(ctx, func() { t, err = s.keys.verify(c.Password, time.Now()) }); busy != nil {
		return id, busy
	}
	if err != nil {
		return id, mqtt.Errorf(mqtt.BadUserNameOrPassword, "", "token: %v", err)
	}
	if c.Username != "" && c.Username != t.user {
		return id, mqtt.Errorf(mqtt.BadUserNameOrPassword, "", "the token is of another user")
	}
	id, err = known(t.user)
	if err != nil {
		return id, err
	}
	id.Expires, id.proof.signer = t.expires, t.by
	return id, nil
}
