package auth

import (
	"context"
	"crypto/sha512"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// code returns the Reason Code of an answer.
func code(t testing.TB, err error) mqtt.ReasonCode {
	t.Helper()
	var e *mqtt.Error
	switch {
	case err == nil:
		return mqtt.Success
	case !errors.As(err, &e):
		t.Fatalf("%v is no *mqtt.Error", err)
	}
	return e.Code
}

// login words a CONNECT with User Name and Password.
func login(user, password string) *Connect {
	return &Connect{ClientID: "c1", Username: user, HasUsername: true, Password: []byte(password), HasPassword: true, Listener: "l"}
}

// people is an Auth with ann (password), tok (token only) and own (a users
// file of the listener "own").
func people(t testing.TB) (a *Auth, token string, o Options) {
	t.Helper()
	token, hash := NewToken()
	o.UsersFile = file(t, "ann:"+hashed(t, "secret")+"\ntok:"+hash+"\n")
	o.Listeners = map[string]Listener{"own": {UsersFile: file(t, "own:"+hashed(t, "its own")+"\nann:"+hashed(t, "other")+"\n")}}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a, token, o
}

func TestAuthenticate(t *testing.T) {
	a, token, _ := people(t)
	none, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	with := func(c *Connect, change func(*Connect)) *Connect { change(c); return c }
	const wrong, nobody = mqtt.BadUserNameOrPassword, mqtt.NotAuthorized
	for _, c := range []struct {
		name    string
		auth    *Auth
		connect *Connect
		code    mqtt.ReasonCode
		user    string
	}{
		{"right", a, login("ann", "secret"), 0, "ann"},
		{"right, remembered", a, login("ann", "secret"), 0, "ann"},
		{"wrong", a, login("ann", "Secret"), wrong, ""},
		{"case 66: unknown user", a, login("eve", "secret"), wrong, ""},
		{"token", a, login("tok", token), 0, "tok"},
		{"token of another", a, login("ann", token), wrong, ""},
		{"wrong token", a, login("tok", token+"x"), wrong, ""},
		{"token user's password", a, login("tok", "secret"), wrong, ""},
		{"case 64: nothing", a, &Connect{Listener: "l"}, nobody, ""},
		{"case 64: no password", a, &Connect{Username: "ann", HasUsername: true}, wrong, ""},
		{"case 64: no user name", a, &Connect{Password: []byte("secret"), HasPassword: true}, wrong, ""},
		{"case 64: empty user name", a, login("", "secret"), wrong, ""},
		{"case 64: both empty", a, login("", ""), wrong, ""},
		{"case 65: empty password", a, login("ann", ""), wrong, ""},
		{"case 65: NUL", a, login("ann", "secret\x00"), wrong, ""},
		{"case 65: 64 KB", a, login("ann", strings.Repeat("x", 64<<10)), wrong, ""},
		{"control character in the name", a, login("a\nnn", "secret"), wrong, ""},
		{"anonymous listener, nothing", a, &Connect{Anonymous: true}, 0, ""},
		{"anonymous listener, wrong password", a, with(login("ann", "x"), func(c *Connect) { c.Anonymous = true }), wrong, ""},
		{"anonymous listener, right password", a, with(login("ann", "secret"), func(c *Connect) { c.Anonymous = true }), 0, "ann"},
		{"own users", a, with(login("own", "its own"), func(c *Connect) { c.Listener = "own" }), 0, "own"},
		{"own users elsewhere", a, login("own", "its own"), wrong, ""},
		{"others' users", a, with(login("ann", "secret"), func(c *Connect) { c.Listener = "own" }), wrong, ""},
		{"certificate", a, &Connect{CertificateUser: "dev"}, 0, "dev"},
		{"certificate, another user name", a, with(login("ann", "x"), func(c *Connect) { c.CertificateUser = "dev" }), 0, "dev"},
		{"case 74: certificate with control characters", a, &Connect{CertificateUser: "d\nev"}, wrong, ""},
		{"certificate of anonymous", a, &Connect{CertificateUser: "anonymous"}, wrong, ""},
		{"socket", a, &Connect{SocketUser: "pi"}, 0, "pi"},
		{"socket, its user name", a, &Connect{SocketUser: "pi", Username: "pi", HasUsername: true}, 0, "pi"},
		{"socket, another user name", a, &Connect{SocketUser: "pi", Username: "ann", HasUsername: true}, wrong, ""},
		{"socket, a login", a, with(login("ann", "secret"), func(c *Connect) { c.SocketUser = "pi" }), 0, "ann"},
		{"no users: anonymous", none, &Connect{Anonymous: true}, 0, ""},
		{"no users: a name is no proof", none, with(login("root", "x"), func(c *Connect) { c.Anonymous = true }), 0, ""},
		{"no users: not anonymous", none, login("ann", "x"), wrong, ""},
		{"no users: socket, its user name", none, &Connect{SocketUser: "pi", Username: "pi", HasUsername: true}, 0, "pi"},
		{"anonymous socket", none, &Connect{SocketUser: "pi", Anonymous: true}, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, err := c.auth.Authenticate(t.Context(), c.connect)
			if got := code(t, err); got != c.code || id.User != c.user {
				t.Errorf("%q, %v; want %q, %v", id.User, err, c.user, c.code)
			}
			if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "ann")) {
				t.Errorf("%v tells too much", err)
			}
		})
	}
}

// Passwords that are too long or hold U+0000 are refused even where the hash
// is theirs.
func TestPasswordsThatNobodyMayHave(t *testing.T) {
	for _, password := range []string{strings.Repeat("x", maxPassword), strings.Repeat("x", maxPassword+1), "a\x00b"} {
		h := sha512.New()
		h.Write([]byte(password + "saltsalt"))
		line := "ann:$6$" + base64Padded.EncodeToString([]byte("saltsalt")) + "$" + base64Padded.EncodeToString(h.Sum(nil))
		a, err := New(Options{UsersFile: file(t, line)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.Authenticate(t.Context(), login("ann", password))
		if ok := err == nil; ok != (len(password) == maxPassword) {
			t.Errorf("%d bytes: %v", len(password), err)
		}
	}
}

// The same name in a users file of one listener is another person.
func TestPrincipalsOfListenersAreApart(t *testing.T) {
	a, _, _ := people(t)
	c := login("ann", "other")
	c.Listener = "own"
	own, err := a.Authenticate(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	everywhere, err := a.Authenticate(t.Context(), login("ann", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	if own.Principal() == everywhere.Principal() || everywhere.Principal() != "ann" || own.User != "ann" || (&Identity{}).Principal() != "" {
		t.Errorf("%q %q", own.Principal(), everywhere.Principal())
	}
}

// Names that would mean more than themselves are refused where a rule
// would expand them, and only there.
func TestNamesThatDoNotFitIntoRules(t *testing.T) {
	o := Options{
		UsersFile: file(t, "a+:"+hashed(t, "x")+"\nbob:"+hashed(t, "x")+"\n"),
		Rules:     []Rule{allow("a*", list("u/{user}"), nil), allow("bob", list("c/{client}"), nil)},
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, user, client string
		code               mqtt.ReasonCode
	}{
		{"case 50: user", "a+", "c", mqtt.NotAuthorized},
		{"case 50: client", "bob", "c/#", mqtt.ClientIdentifierNotValid},
		{"case 50: client +", "bob", "+", mqtt.ClientIdentifierNotValid},
		{"client assigned later", "bob", "", 0},
		{"case 51: client", "bob", ".*|\\", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := login(c.user, "x")
			r.ClientID = c.client
			if _, err := a.Authenticate(t.Context(), r); code(t, err) != c.code {
				t.Error(err)
			}
		})
	}
}

func TestReload(t *testing.T) {
	a, _, o := people(t)
	ann, err := a.Authenticate(t.Context(), login("ann", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	ask := &Access{Identity: &ann, Listener: "l", Action: Publish, Topic: "a"}
	if a.Authorize(ask).Code.Failed() {
		t.Fatal("ann may not publish")
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(o.UsersFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := a.Generation()
	t.Run("case 61: what cannot be read changes nothing", func(t *testing.T) {
		write("bob:" + hashed(t, "x") + "\nann:$7$101$half")
		if err := a.Reload(o); err == nil {
			t.Fatal("half a file was taken")
		}
		missing := o
		missing.ACLFile = filepath.Join(t.TempDir(), "none")
		if err := a.Reload(missing); err == nil {
			t.Fatal("a missing file was taken")
		}
		if _, err := a.Authenticate(t.Context(), login("ann", "secret")); err != nil || a.Generation() != before || a.Authorize(ask).Code.Failed() {
			t.Errorf("%v, generation %d", err, a.Generation())
		}
	})
	t.Run("who is gone has no rights", func(t *testing.T) {
		write("bob:" + hashed(t, "x") + "\n")
		if err := a.Reload(o); err != nil || a.Generation() == before {
			t.Fatal(err)
		}
		if _, err := a.Authenticate(t.Context(), login("ann", "secret")); code(t, err) != mqtt.BadUserNameOrPassword || !a.Authorize(ask).Code.Failed() {
			t.Error(err)
		}
	})
	t.Run("a password that was right is not right for another hash", func(t *testing.T) {
		write("ann:" + hashed(t, "new") + "\n")
		if err := a.Reload(o); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Authenticate(t.Context(), login("ann", "secret")); code(t, err) != mqtt.BadUserNameOrPassword {
			t.Error(err)
		}
		if !a.Lost(&ann, "l") {
			t.Error("the old password still counts as proof")
		}
		if a.Authorize(ask).Code.Failed() {
			t.Error("a session of the user, who may be away, lost its rights with the password")
		}
	})
	t.Run("a proof lasts while its line does", func(t *testing.T) {
		now, err := a.Authenticate(t.Context(), login("ann", "new"))
		if err != nil {
			t.Fatal(err)
		}
		kept := a.state.Load().users.byName["ann"].password.text
		_, hash := NewToken()
		write("ann:" + kept + "\nann:" + hash + "\n")
		if err := a.Reload(o); err != nil {
			t.Fatal(err)
		}
		if a.Lost(&now, "l") {
			t.Error("lost, though only a token came along")
		}
		if a.Lost(&Identity{User: "ann", proof: &proof{}}, "l") {
			t.Error("a certificate's user is lost")
		}
	})
}

// Questions go on while the rules change under them.
func TestReloadUnderQuestions(t *testing.T) {
	a, _, o := people(t)
	ann, err := a.Authenticate(t.Context(), login("ann", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				a.Authorize(&Access{Identity: &ann, Listener: "l", Action: Publish, Topic: "a"})
				a.Generation()
			}
		})
	}
	for i := range 50 {
		o.Rules = nil
		if i%2 == 0 {
			o.Rules = []Rule{allow("bob", list("a"), nil)}
		}
		if err := a.Reload(o); err != nil {
			t.Error(err)
		}
		if got := a.Authorize(&Access{Identity: &ann, Listener: "l", Action: Publish, Topic: "a"}).Code.Failed(); got != (i%2 == 0) {
			t.Errorf("after Reload %d: refused %v", i, got)
		}
	}
	close(stop)
	all.Wait()
}

// One hash at a time; a bounded line; the rest hears that the server is busy.
func TestOvenIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newChecker()
		var running, most, done, busy int
		var mu sync.Mutex
		var all sync.WaitGroup
		for range maxWaiting + 6 {
			all.Go(func() {
				err := o.run(t.Context(), func() {
					mu.Lock()
					running++
					most = max(most, running)
					mu.Unlock()
					time.Sleep(time.Second)
					mu.Lock()
					running--
					mu.Unlock()
				})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					done++
				} else if code(t, err) == mqtt.ServerBusy {
					busy++
				}
			})
		}
		all.Wait()
		if most != 1 || done != maxWaiting+1 || busy != 5 || o.refused.Load() != 5 {
			t.Errorf("%d at a time, %d done, %d busy", most, done, busy)
		}
		if n := o.waiting.Load(); n != 0 {
			t.Errorf("%d places in the line are lost", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		all.Go(func() { o.run(t.Context(), func() { time.Sleep(time.Second) }) })
		synctest.Wait()
		if err := o.run(ctx, func() { t.Error("ran") }); code(t, err) != mqtt.ServerBusy {
			t.Error(err)
		}
		all.Wait()
	})
}

func TestOvenRemembersForADayAndNotMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newChecker()
		s, err := parseSecret(fromMosquitto7, maxMemory)
		if err != nil {
			t.Fatal(err)
		}
		password := []byte("pa:ss w\u00f6rd")
		if ok, err := o.check(t.Context(), &Connect{Username: "ann", Password: password}, s); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if !o.known(o.remember("ann", s, password)) || o.known(o.remember("bob", s, password)) || o.known(o.remember("ann", s, password[1:])) {
			t.Error("remembers the wrong things")
		}
		time.Sleep(cacheFor)
		if o.known(o.remember("ann", s, password)) {
			t.Error("remembers too long")
		}
		for i := range cacheSize + 10 {
			o.learn([32]byte{byte(i), byte(i >> 8)})
		}
		if len(o.cache.right) != cacheSize {
			t.Error(len(o.cache.right))
		}
	})
}

// Case 66: who does not exist takes as long as who does.
func TestStrangersCostAsMuch(t *testing.T) {
	h, err := HashPassword([]byte("x"), Cost{Memory: 1 << 10, Passes: 1})
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(Options{UsersFile: file(t, "ann:"+h+"\n")})
	if err != nil {
		t.Fatal(err)
	}
	var took [2][]time.Duration
	for i := range 200 {
		start := time.Now()
		if _, err := a.Authenticate(t.Context(), login([]string{"ann", "eve"}[i%2], "wrong")); code(t, err) != mqtt.BadUserNameOrPassword {
			t.Fatal(err)
		}
		took[i%2] = append(took[i%2], time.Since(start))
	}
	slices.Sort(took[0])
	slices.Sort(took[1])
	// Shared machines are noisy; without a dummy hash it would be a factor of
	// 100.
	if r := float64(took[1][50]) / float64(took[0][50]); r < 0.5 || r > 2 {
		t.Errorf("unknown users take %.2f times as long", r)
	}
}
