package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Options say who may connect and what they may do. Rules go from the
// listener's own over Rules to those of ACLFile. Without any, those let in may
// do everything but read $SYS and publish below Base. The zero value lets in
// whom the listeners let in and adds $SYS.
type Options struct {
	UsersFile string // "" none
	JWT       *JWT   // nil: passwords are no tokens
	// Admins may read $SYS, and publish below Base where a rule allows it.
	Admins []string
	Roles  map[string][]string // members by role
	// ACLFile is one of mosquitto's; "" none.
	ACLFile   string
	Rules     []Rule
	Listeners map[string]Listener // by name
	// Base is where the gateway's own devices publish, as "dunlin/barn": below
	// it others publish only to .../set. "" protects nothing.
	Base string
	// AnyOwner accepts files of other users: for a root who only checks what
	// the service's user will read.
	AnyOwner bool
	// Memory is what the machine has, in bytes: a stored argon2id hash may not
	// take more than a quarter. 0 is not known.
	Memory int64
}

// Listener is what one listener has of its own.
type Listener struct {
	UsersFile string // instead of Options.UsersFile
	Rules     []Rule // before Options.Rules
}

// Auth is the Authenticator of users files, tokens, certificates and rules.
type Auth struct {
	checker *checker
	state   atomic.Pointer[state]
	// reload lets one Reload run at a time.
	reload sync.Mutex
}

var _ Authenticator = (*Auth)(nil)

// state is what Options say, read and checked; constant.
type state struct {
	generation uint64
	// configured: something says who may come in or what they may do.
	configured bool
	open       *grants // of everybody, while nothing is configured
	users      *users  // nil without
	keys       *keys   // nil without
	admins     map[string]bool
	roles      map[string][]string
	rules      []Rule
	listeners  map[string]listener
	base       string // with a slash at its end; "" protects nothing
}

type listener struct {
	users *users // nil: the state's
	rules []Rule
}

// New reads the files that the options name. The error holds Faults for what
// is wrong in them.
func New(o Options) (*Auth, error) {
	s, err := o.read()
	if err != nil {
		return nil, err
	}
	a := &Auth{checker: newChecker()}
	a.state.Store(s)
	return a, nil
}

// Reload reads everything again. With an error, what was in force stays in
// force, as a whole.
func (a *Auth) Reload(o Options) error {
	a.reload.Lock()
	defer a.reload.Unlock()
	s, err := o.read()
	if err != nil {
		return err
	}
	s.generation = a.state.Load().generation + 1
	a.state.Store(s)
	return nil
}

// Lost reports whether what proved an identity is in the files no more: the
// user was taken away, or has another password, or the key that signed a token
// is gone.
func (a *Auth) Lost(who *Identity, listener string) bool {
	if who == nil || who.proof == nil {
		return false
	}
	s := a.state.Load()
	if signer := who.proof.signer; signer != nil {
		return s.keys == nil || !s.keys.has(signer)
	}
	if who.proof.by == nil {
		return false
	}
	u := s.usersOf(listener)
	return u == nil || !u.byName[who.User].has(who.proof.by)
}

// Generation counts the Reloads.
func (a *Auth) Generation() uint64 { return a.state.Load().generation }

// Authorize answers from the rules. It allocates only at the first question
// of an identity after it was made or after a Reload.
func (a *Auth) Authorize(x *Access) Decision {
	s := a.state.Load()
	if x.Identity == nil || x.Identity.proof == nil { // of another Authenticator
		user := ""
		if x.Identity != nil {
			user = x.Identity.User
		}
		return s.compile(user, x.ClientID, x.Listener).decide(x)
	}
	p := x.Identity.proof
	g := p.grants.Load()
	if g == nil || g.state != s || !g.open && (g.client != x.ClientID || g.listener != x.Listener) {
		g = s.compile(x.Identity.User, x.ClientID, x.Listener)
		if p.by != nil && !s.has(x.Listener, x.Identity.User) {
			g = &grants{state: s, listener: x.Listener, client: x.ClientID} // it was taken away
		}
		p.grants.Store(g)
	}
	return g.decide(x)
}

// has reports whether a listener's users file still has a user.
func (s *state) has(listener, user string) bool {
	u := s.usersOf(listener)
	return u != nil && u.byName[user] != nil
}

// usersOf returns the users file that counts at a listener; nil without.
func (s *state) usersOf(listener string) *users {
	if own := s.listeners[listener].users; own != nil {
		return own
	}
	return s.users
}

// read makes the state of the options.
func (o *Options) read() (*state, error) {
	s := &state{roles: maps.Clone(o.Roles), admins: map[string]bool{}, listeners: map[string]listener{}, rules: slices.Clone(o.Rules)}
	if o.Base != "" {
		s.base = o.Base + "/"
	}
	for _, name := range o.Admins {
		s.admins[name] = true
	}
	var err error
	if s.users, err = o.users(o.UsersFile); err != nil {
		return nil, err
	}
	if o.JWT != nil {
		if s.keys, err = o.JWT.read(o.AnyOwner); err != nil {
			return nil, err
		}
	}
	if o.ACLFile != "" {
		imported, err := readACL(o.ACLFile, o.AnyOwner)
		if err != nil {
			return nil, err
		}
		s.rules = append(s.rules, imported...)
	}
	s.configured = s.users != nil || s.keys != nil || len(s.rules) > 0
	for name, l := range o.Listeners {
		own := listener{rules: slices.Clone(l.Rules)}
		if own.users, err = o.users(l.UsersFile); err != nil {
			return nil, err
		}
		s.listeners[name] = own
		s.configured = s.configured || own.users != nil || len(own.rules) > 0
	}
	s.open = &grants{state: s, open: true}
	return s, s.validate()
}

func (o *Options) users(file string) (*users, error) {
	if file == "" {
		return nil, nil
	}
	if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
		return nil, Faults{{File: file, Msg: "there is no such file", Hint: "make it with its first user: dunlin passwd " + file + " USER"}}
	}
	b, err := readFile(file, maxUsersFile, true, o.AnyOwner)
	if err != nil {
		return nil, err
	}
	ceiling := uint32(maxMemory)
	if o.Memory > 0 {
		ceiling = uint32(min(int64(ceiling), max(o.Memory/4>>10, leastMemory)))
	}
	return parseUsers(file, b, ceiling)
}

// leastMemory is the argon2id memory in KiB that any machine accepts.
const leastMemory = 4 << 10

func (s *state) validate() error {
	check := func(where string, rules []Rule) error {
		for i := range rules {
			if err := rules[i].validate(s.roles); err != nil {
				return fmt.Errorf("%srule %d: %w", where, i+1, err)
			}
		}
		return nil
	}
	if err := check("", s.rules); err != nil {
		return err
	}
	for name, l := range s.listeners {
		if err := check(fmt.Sprintf("listener %s: ", name), l.rules); err != nil {
			return err
		}
	}
	return nil
}

// proof is what this package remembers of how an identity was proved.
type proof struct {
	realm string // the listener whose own users file has the user; "" for all others
	// by is the line of a users file, which may be taken away; nil for others.
	by     *secret
	signer *key                   // of the token; nil for others
	grants atomic.Pointer[grants] // of the last question; nil before the first
}

// Verdicts that tell a stranger nothing.
var (
	errWrong  = mqtt.Errorf(mqtt.BadUserNameOrPassword, "", "wrong user name or password")
	errNobody = mqtt.Errorf(mqtt.NotAuthorized, "", "the listener is not anonymous, and the client proved nothing")
)
