package api

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/config"
)

const (
	idle       = 12 * time.Hour // after which a login ends
	mostLogins = 64             // at a time; the one that was idle longest goes
	cookie     = "dunlin"
)

// logins are the people at the page. They end with the process.
type logins struct {
	sync.Mutex
	open map[[32]byte]login // by the hash of the cookie
}

type login struct {
	user   string
	token  string // name of the token that stood in for a password; "" for a user
	who    broker.Identity
	rights uint64 // generation of the users when it began
	used   time.Time
}

// loginRequest is what a person proves itself with: a user of the MQTT server
// and its password, or a token of http.tokens as password.
type loginRequest struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

// enter is POST /api/v1/login.
func enter(c *call) (any, error) {
	var in loginRequest
	if json.Unmarshal(c.Body, &in) != nil || in.Password == "" {
		return nil, problem(400, "the body is no JSON object with user and password")
	}
	a, from := c.a, address(c.Conn.RemoteAddr())
	if wait := a.door.wait(from, in.User, in.Password, time.Now()); wait > 0 {
		return nil, c.tooMany("passwords", wait)
	}
	l := login{used: time.Now(), rights: a.Auth.Generation()}
	if t := knownToken(a.Config(), in.Password); t != nil {
		l.user, l.token = "token "+t.Name, t.Name
	} else {
		id, err := a.Auth.Authenticate(c.ctx, &broker.Connect{
			Username: in.User, HasUsername: true, Password: []byte(in.Password), HasPassword: true,
			Version: mqtt.V5, Remote: c.Conn.RemoteAddr().String(), MemoryShort: a.Broker.Stats().Memory.Level >= 2,
		})
		if e := (*mqtt.Error)(nil); errors.As(err, &e) && e.Code == mqtt.ServerBusy {
			return nil, problem(503, "too busy to check a password: %s", e.Msg)
		}
		if err != nil || id.User == "" {
			a.door.fail(from, in.User, in.Password, time.Now())
			a.Log.Warn("a wrong password at the page", "user", in.User, "remote", from.String())
			return nil, problem(401, "user or password is wrong")
		}
		l.user, l.who = id.User, id
	}
	a.door.proved(from, in.User, in.Password, time.Now())
	key := rand.Text() + rand.Text() // 256 bits
	a.logins.add(sha256.Sum256([]byte(key)), l)
	c.w.Set("Set-Cookie", cookie+"="+key+"; Path=/; HttpOnly; SameSite=Strict")
	c.User, c.role, c.login = l.user, a.roleOf(&l), true
	return session(c)
}

// leave is POST /api/v1/logout.
func leave(c *call) (any, error) {
	a := &c.a.logins
	a.Lock()
	delete(a.open, sha256.Sum256([]byte(c.cookie())))
	a.Unlock()
	c.w.Set("Set-Cookie", cookie+"=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
	return nil, nil
}

func (l *logins) add(key [32]byte, who login) {
	l.Lock()
	defer l.Unlock()
	if l.open == nil {
		l.open = make(map[[32]byte]login)
	}
	for len(l.open) >= mostLogins {
		oldest := key
		for k, v := range l.open {
			if oldest == key || v.used.Before(l.open[oldest].used) {
				oldest = k
			}
		}
		delete(l.open, oldest)
	}
	l.open[key] = who
}

// recognize gives a caller the role of its login; without one, nothing.
func (a *API) recognize(c *call) {
	given := c.cookie()
	if given == "" {
		a.neighbor(c)
		return
	}
	key := sha256.Sum256([]byte(given))
	a.logins.Lock()
	defer a.logins.Unlock()
	l, known := a.logins.open[key]
	if !known {
		a.neighbor(c)
		return
	}
	if time.Since(l.used) > idle || a.roleOf(&l) == open {
		delete(a.logins.open, key)
		return
	}
	l.used = time.Now()
	a.logins.open[key] = l
	c.User, c.role, c.login, c.proof = l.user, a.roleOf(&l), true, &l
}

// stays reports whether the caller still has the login and the role that it came
// with: a stream of who lost them ends.
func (c *call) stays() bool {
	if c.login {
		l := &c.a.logins
		l.Lock()
		_, known := l.open[sha256.Sum256([]byte(c.cookie()))]
		l.Unlock()
		if !known {
			return false
		}
	}
	return c.proof == nil || c.a.roleOf(c.proof) >= c.role
}

// mayRead reports whether the caller may see what is published on a topic:
// users who are no admins read no more here than over MQTT.
func (c *call) mayRead(topic string) bool {
	return c.proof == nil || c.proof.token != "" || c.role == admin ||
		c.a.Auth.Authorize(&broker.Access{Identity: &c.proof.who, Action: broker.Receive, Topic: topic}).Code == mqtt.Success
}

// roleOf is what a login may do by the configuration of now: open when its
// token, user or password is no more. One of a JSON Web Token, which cannot be
// looked up again, ends with the token or the next reload.
func (a *API) roleOf(l *login) role {
	cfg := a.Config()
	if l.token != "" {
		for i := range cfg.HTTP.Tokens {
			if t := &cfg.HTTP.Tokens[i]; t.Name == l.token {
				return roleNamed(t.Role)
			}
		}
		return open
	}
	signed := !l.who.Expires.IsZero()
	switch {
	case a.Auth.Lost(&l.who, ""), signed && (a.Auth.Generation() != l.rights || time.Now().After(l.who.Expires)):
		return open
	case slices.Contains(cfg.Auth.Admins, l.user):
		return admin
	}
	return viewer
}

// neighbor lets programs of this machine look at a gateway that has no users
// and no tokens: there is nobody whom it could ask for.
func (a *API) neighbor(c *call) {
	if ip, err := netip.ParseAddrPort(c.Conn.RemoteAddr().String()); err == nil && ip.Addr().Unmap().IsLoopback() && !accounts(a.Config()) {
		c.User, c.role = "somebody on this machine", viewer
		if a.Trust {
			c.role = admin
		}
	}
}

// accounts reports whether there is anybody to log in as.
func accounts(cfg *config.Config) bool {
	return cfg.Auth.UsersFile != "" || cfg.Auth.JWT != nil || len(cfg.HTTP.Tokens) > 0
}

// knownToken finds a token of http.tokens, in the same time for each.
func knownToken(cfg *config.Config, given string) (found *config.Token) {
	hash := sha256.Sum256([]byte(given))
	for i := range cfg.HTTP.Tokens {
		t := &cfg.HTTP.Tokens[i]
		secret := t.Token.Reveal()
		known := sha256.Sum256([]byte(secret))
		if secret != "" && subtle.ConstantTimeCompare(hash[:], known[:]) == 1 {
			found = t
		}
	}
	return found
}

func roleNamed(name string) role {
	if name == "admin" {
		return admin
	}
	return viewer
}

// cookie returns the key of a login, "" if there is none.
func (c *call) cookie() string {
	for part := range strings.SplitSeq(c.Header.Get("cookie"), ";") {
		if name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name == cookie {
			return value
		}
	}
	return ""
}
